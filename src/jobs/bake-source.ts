import { stat } from "node:fs/promises";
import { join, parse } from "node:path";
import { ENGINE_FILE } from "../formats/engine-bundle.ts";
import { UserError } from "../formats/errors.ts";
import { fingerprintOfFiles } from "../formats/fingerprint.ts";
import { isNumericDtype, toFloat32 } from "../formats/numbers.ts";
import { RandomAccessFile } from "../formats/random-access-file.ts";
import type { BaseDescription } from "../lora/base.ts";
import type { Checkpoint, Weight } from "../models/checkpoint.ts";
import { openCheckpoint } from "../models/open-checkpoint.ts";
import { isBakeable } from "./baked-bytes.ts";
import { openBundle } from "./engine-cache.ts";

/** A checkpoint that LoRAs are merged into, and the description of it that they are matched with. */
export interface BakeSource {
  readonly checkpoint: Checkpoint;
  readonly base: BaseDescription;
  /** Every weight that a LoRA may reach, by its single-file name. */
  readonly weights: ReadonlyMap<string, Weight>;
}

/** Opens a checkpoint, or that of an engine bundle. Throws "bundle.invalid" for a bundle of several weight files. */
export async function openBakeSource(path: string): Promise<BakeSource> {
  const isBundle = await stat(join(path, ENGINE_FILE)).then(
    () => true,
    () => false,
  );
  return isBundle ? sourceOfBundle(path) : sourceOf(path, parse(path).name);
}

/** A converted bundle has another file than its checkpoint, but deltas are made for the checkpoint. */
async function sourceOfBundle(path: string): Promise<BakeSource> {
  const { folder, bundle } = await openBundle(path);
  const [only, ...others] = bundle.weightFiles;
  if (only === undefined || others.length > 0) {
    throw new UserError(
      "bundle.invalid",
      `${folder} was made of a diffusers folder, whose files do not say which weights they are. Give the diffusers folder itself.`,
    );
  }
  return sourceOf(join(folder, only.file), bundle.name, bundle.checkpoint.fingerprint);
}

async function sourceOf(path: string, name: string, fingerprint?: string): Promise<BakeSource> {
  const checkpoint = await openCheckpoint(path);
  const weights = new Map<string, Weight>();
  const described = [];
  for (const [component, table] of checkpoint.components) {
    if (component.startsWith("vae_")) continue;
    for (const weight of table.values()) {
      weights.set(weight.name, weight);
      described.push({ name: weight.name, shape: weight.shape, component });
    }
  }
  const { architecture, configuration, files } = checkpoint;
  const base = { name, architecture, configuration, fingerprint: fingerprint ?? (await fingerprintOfFiles(files)), weights: described };
  return { checkpoint, base, weights };
}

/** A weight's numbers in fp32. Throws "checkpoint.unsupported" for a dtype that holds none. */
export async function readWeight({ name, dtype, file, offset, length }: Weight): Promise<Float32Array> {
  if (!isNumericDtype(dtype)) {
    throw new UserError("checkpoint.unsupported", `${file}: "${name}" has dtype ${dtype}, which cannot be read as numbers here.`);
  }
  const opened = await RandomAccessFile.open(file);
  try {
    return toFloat32(await opened.readBytes(offset, length), dtype);
  } finally {
    await opened.close();
  }
}

/** Throws "checkpoint.unsupported" where one of these weights is kept in a dtype that merged values cannot be rounded to. */
export function requireBakeable({ checkpoint, weights }: BakeSource, names: Iterable<string>): void {
  for (const name of names) {
    const { dtype } = weights.get(name)!;
    if (isBakeable({ dtype })) continue;
    throw new UserError(
      "checkpoint.unsupported",
      `${checkpoint.path} keeps "${name}" as ${dtype}, which LoRAs cannot be baked into. Use a checkpoint in fp16, bf16 or fp32.`,
    );
  }
}
