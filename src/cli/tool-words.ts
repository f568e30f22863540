import { basename } from "node:path";
import { formatBytes } from "../formats/atomic-file.ts";
import type { JobResults } from "../jobs/run.ts";

export function bakeWords({ file, bytes, changed, loras }: JobResults["bake"]): string[] {
  return [
    `checkpoint: ${file} (${formatBytes(bytes)})`,
    `  ${changed} weights changed`,
    ...loras.map(({ file: lora, scale, matched, unmatched }) => {
      const left = unmatched.length === 0 ? "" : `, ${unmatched.length} not matched`;
      return `  ${basename(lora)} × ${scale}: ${matched} modules${left}`;
    }),
  ];
}

/** Layers beyond this many are counted; --json lists them all. */
const SHOWN_LAYERS = 20;

/** A LoRA that was made of others, the layers with the largest errors first. */
export function combinedWords({ file, bytes, layers, error }: JobResults["resize"]): string[] {
  const shown = layers.toSorted((a, b) => b.error - a.error).slice(0, SHOWN_LAYERS);
  const width = Math.max(0, ...shown.map(({ name }) => name.length));
  return [
    `LoRA: ${file} (${formatBytes(bytes)})`,
    `  ${layers.length} layers, relative error in all ${errorText(error)}`,
    ...shown.map(({ name, from, to, error: own }) => `  ${name.padEnd(width)} rank ${from} → ${to}, error ${errorText(own)}`),
    ...(layers.length > SHOWN_LAYERS ? [`  … and ${layers.length - SHOWN_LAYERS} more (--json lists all)`] : []),
  ];
}

/** What two checkpoints differ by, the layers with the largest errors first. */
export function extractWords({ file, bytes, layers, error, differences }: JobResults["extract"]): string[] {
  const shown = layers.toSorted((a, b) => b.error - a.error).slice(0, SHOWN_LAYERS);
  const width = Math.max(0, ...shown.map(({ name }) => name.length));
  return [
    `LoRA: ${file} (${formatBytes(bytes)})`,
    `  ${layers.length} layers, relative error in all ${errorText(error)}; ${differences.length} biases and normalizations`,
    ...shown.map(({ name, rank, error: own }) => `  ${name.padEnd(width)} rank ${rank}, error ${errorText(own)}`),
    ...(layers.length > SHOWN_LAYERS ? [`  … and ${layers.length - SHOWN_LAYERS} more (--json lists all)`] : []),
  ];
}

function errorText(error: number): string {
  return error === 0 ? "0" : error.toExponential(2);
}
