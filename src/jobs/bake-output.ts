import { basename } from "node:path";
import { UserError } from "../formats/errors.ts";
import { RandomAccessFile } from "../formats/random-access-file.ts";
import { rewriteSafetensors } from "../formats/safetensors-rewriter.ts";
import { writeSafetensors, type TensorSource, type WriteOptions } from "../formats/safetensors-writer.ts";
import { SafetensorsFile } from "../formats/safetensors.ts";
import { ARCHITECTURE_LABEL } from "../models/architecture.ts";
import type { Checkpoint, Weight } from "../models/checkpoint.ts";
import type { BakeSource } from "./bake-source.ts";
import type { LoraReference } from "./options.ts";

/** Under this key of `__metadata__` stands what was baked: JSON, a list of LoRAs in the stack's order. */
export const BAKED_KEY = "baked_loras";

/** A hash of the weights as they were. */
const STALE_KEYS = ["modelspec.hash_sha256"];

export interface BakeOutput extends WriteOptions {
  /** A weight's new bytes; undefined: they are copied. */
  replace(weight: Weight): Promise<Uint8Array | undefined>;
}

/** Writes the baked checkpoint: a single file keeps its order, names, dtypes and metadata, a diffusers folder gets single-file names. */
export async function writeBaked(source: BakeSource, path: string, loras: readonly LoraReference[], output: BakeOutput): Promise<void> {
  if (source.checkpoint.layout === "diffusers") return writeFolder(source.checkpoint, path, loras, output);
  const file = await SafetensorsFile.open(source.checkpoint.files[0]!);
  try {
    // By their places, because some files have other names for them.
    const weightAt = new Map(Array.from(source.weights.values(), (weight) => [`${weight.offset} ${weight.length}`, weight]));
    const metadata = bakedMetadata(file.metadata, source, loras);
    await rewriteSafetensors(
      file,
      path,
      metadata,
      async ({ offset, length }) => {
        const weight = weightAt.get(`${offset} ${length}`);
        return weight && output.replace(weight);
      },
      output,
    );
  } finally {
    await file.close();
  }
}

async function writeFolder(checkpoint: Checkpoint, path: string, loras: readonly LoraReference[], output: BakeOutput): Promise<void> {
  const weights = new Map([...checkpoint.components.values()].flatMap((table) => [...table]));
  const files = new Map<string, RandomAccessFile>();
  try {
    for (const file of checkpoint.files) files.set(file, await RandomAccessFile.open(file));
    const sources = Array.from(weights.values(), (weight): TensorSource => {
      const { name, dtype, file, offset, length } = weight;
      const chunks = async function* () {
        yield (await output.replace(weight)) ?? (await files.get(file)!.readBytes(offset, length));
      };
      return { name, dtype, shape: singleFileShape(weight), length, chunks };
    });
    await writeSafetensors(path, sources, { [BAKED_KEY]: describeBaked(checkpoint.path, loras) }, output);
  } finally {
    for (const file of files.values()) await file.close();
  }
}

/** The VAE's attention is of matrices in diffusers and of 1×1 convolutions in single files: the same bytes. */
function singleFileShape({ name, shape }: Weight): readonly number[] {
  return shape.length === 2 && name.startsWith("first_stage_model.") ? [...shape, 1, 1] : shape;
}

/**
 * Throws "checkpoint.unsupported" for a diffusers folder whose weights cannot be written as a single file by other names alone: those of
 * SD2.x and SDXL keep OpenCLIP's text encoder with q, k and v fused and its projection transposed.
 */
export function refuseInexact({ path, layout, architecture, configuration }: Checkpoint): void {
  if (layout === "single-file") return;
  const fused = configuration.textEncoders.find(({ component }) => component === "text_encoder_2" || architecture === "sd2");
  if (!fused) return;
  throw new UserError(
    "checkpoint.unsupported",
    `${path} is a diffusers folder of ${ARCHITECTURE_LABEL[architecture]}, whose ${fused.component} has other tensors in a single file. ` +
      "Convert the folder to a single file first, and bake into that.",
  );
}

function bakedMetadata(old: ReadonlyMap<string, string>, { base }: BakeSource, loras: readonly LoraReference[]): Record<string, string> {
  const kept = Object.fromEntries([...old].filter(([key]) => !STALE_KEYS.includes(key)));
  return { ...kept, [BAKED_KEY]: describeBaked(base.name, loras, old.get(BAKED_KEY)) };
}

/** What was baked in, behind what had been before. */
function describeBaked(base: string, loras: readonly LoraReference[], before?: string): string {
  const added = loras.map(({ file, ...strengths }) => ({ file: basename(file), ...strengths, base: basename(base) }));
  return JSON.stringify([...earlier(before), ...added]);
}

function earlier(text: string | undefined): unknown[] {
  try {
    const value: unknown = JSON.parse(text ?? "[]");
    return Array.isArray(value) ? value : [];
  } catch {
    return [];
  }
}
