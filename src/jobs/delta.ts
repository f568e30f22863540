import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { DeltaFile } from "../formats/delta-file.ts";
import { UserError } from "../formats/errors.ts";
import { isDeltaFile } from "../lora/load-adapter.ts";
import { LoraFile } from "../lora/lora-file.ts";
import { prepareDelta, writeDelta, type DeltaReport } from "../lora/make-delta.ts";
import type { WeightArithmetic } from "../lora/merge.ts";
import { backendOfBundle } from "./backends.ts";
import { baseReader, describeBase } from "./base-description.ts";
import type { JobContext } from "./context.ts";
import { convertDelta } from "./convert-delta.ts";
import { openBundle, type OpenedBundle } from "./engine-cache.ts";
import type { DeltaOptions } from "./options.ts";
import type { DeltaResult } from "./results.ts";
import { stageProgress } from "./timing.ts";

/**
 * Makes a delta file of a LoRA, or of a delta of version 1, for an engine. One that was made before from the same LoRA, for the same base and with the same
 * options, is kept; only what it says is computed again.
 */
export async function makeDeltaFile(options: DeltaOptions, context: JobContext, arithmetic: WeightArithmetic): Promise<DeltaResult> {
  const { signal } = context;
  const opened = await openBundle(options.engine);
  backendOfBundle(opened.folder, opened.bundle.backend.name, options.backend);
  const file = resolve(options.output ?? defaultDeltaFile(opened, options));
  if (file === resolve(options.lora)) {
    throw new UserError("option.invalid", `${file} is the LoRA itself, which the delta would replace. Choose another output.`);
  }
  if (await isDeltaFile(options.lora)) return convert(options, opened, file, context);
  refuseTruncation(options);
  const lora = await LoraFile.open(options.lora);
  try {
    const read = stageProgress(context, "reading the LoRA");
    const prepared = await prepareDelta(lora, describeBase(opened), options.strength, {
      signal,
      onProgress: (fraction) => read(fraction, 1),
    });
    const loraHash = await hashFile(options.lora, signal);
    const cached = await isSame(file, opened, { ...options, loraHash });
    if (!cached) {
      await refuseOther(file, options);
      const write = stageProgress(context, "writing the delta");
      await writeDelta(prepared, file, {
        loraHash,
        signal,
        dense: options.dense ? arithmetic : undefined,
        readBase: baseReader(opened),
        onProgress: (fraction) => write(fraction, 1),
      });
    }
    const warnings = reportWarnings(prepared.report);
    for (const warning of warnings) context.log("warn", warning);
    const unmatched = [...lora.unused, ...prepared.report.unmatched].map(({ name, reason }) => ({ name, reason }));
    return { file, cached, matched: prepared.report.matched, unmatched, warnings };
  } finally {
    await lora.close();
  }
}

/** A delta of version 1 becomes one of version 2 under a name that is free. */
async function convert(options: DeltaOptions, opened: OpenedBundle, file: string, context: JobContext): Promise<DeltaResult> {
  const loraHash = await hashFile(options.lora, context.signal);
  if (!options.overwrite && (await stat(file).catch(() => undefined))) {
    throw new UserError("file.exists", `${file} exists already. Choose another name, or allow it to be overwritten.`);
  }
  return convertDelta(options, opened, { file, loraHash, warningsOf: reportWarnings }, context);
}

function refuseTruncation({ lora, rank, energy }: DeltaOptions): void {
  if (rank === undefined && energy === undefined) return;
  throw new UserError(
    "option.invalid",
    `${lora} is a LoRA, whose factors a delta keeps: --rank and --energy are for deltas of version 1. Resize the LoRA first.`,
  );
}

/** `NAME_LORA_s1.00.trt_lora` beside the bundle's folder. */
function defaultDeltaFile({ folder, bundle }: OpenedBundle, { lora, strength, dense }: DeltaOptions): string {
  const stem = basename(lora).replace(/\.(?:safetensors|trt_lora)$/i, "");
  return join(dirname(folder), `${bundle.name}_${stem}_s${strength.toFixed(2)}${dense ? "_dense" : ""}.trt_lora`);
}

/** What is odd about a LoRA, one sentence each; many of one kind are counted, not listed. */
export function reportWarnings({ unmatched, suspicious }: DeltaReport): string[] {
  const counts = new Map<string, string[]>();
  for (const { name, reason } of suspicious) counts.set(reason, [...(counts.get(reason) ?? []), name]);
  const odd = [...counts].map(([reason, names]) => `${shortList(names)}: ${reason}`);
  return unmatched.length === 0 ? odd : [`${unmatched.length} modules of the LoRA are not applied`, ...odd];
}

function shortList(names: readonly string[]): string {
  return names.length <= 3 ? names.join(", ") : `${names.slice(0, 2).join(", ")} and ${names.length - 2} more`;
}

async function hashFile(path: string, signal: AbortSignal | undefined): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 4 * 1024 * 1024, ...(signal && { signal }) }))
    hash.update(chunk as Buffer);
  return hash.digest("hex");
}

/** Whether `file` is the delta that is asked for. */
async function isSame(file: string, { bundle }: OpenedBundle, wanted: DeltaOptions & { readonly loraHash: string }): Promise<boolean> {
  const delta = await DeltaFile.open(file).catch(() => undefined);
  if (!delta) return false;
  await delta.close();
  const { baseFingerprint, loraHash, loraStrength, dense = false } = delta.metadata;
  return (
    delta.version === 2 &&
    baseFingerprint === bundle.checkpoint.fingerprint &&
    loraHash === wanted.loraHash &&
    loraStrength === wanted.strength &&
    dense === wanted.dense
  );
}

/** A delta under our own name may be replaced by a newer one of the same LoRA; what a person named otherwise may not. */
async function refuseOther(file: string, { output, overwrite }: DeltaOptions): Promise<void> {
  if (output === undefined || overwrite || !(await stat(file).catch(() => undefined))) return;
  throw new UserError("file.exists", `${file} exists already and is not this delta. Choose another name, or allow it to be overwritten.`);
}
