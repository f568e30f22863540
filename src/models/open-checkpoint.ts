import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { SafetensorsFile } from "../formats/safetensors.ts";
import { assembleCheckpoint } from "./assemble-checkpoint.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { Prediction } from "./configuration.ts";
import { collectDiffusersFolder } from "./diffusers-folder.ts";
import { refusal } from "./refusal.ts";
import { collectSingleFile } from "./single-file.ts";
import type { WeightCollection } from "./weight-collection.ts";

export interface OpenOptions {
  /** What the UNet predicts, where the checkpoint does not say it or says it wrongly. */
  readonly prediction?: Prediction;
}

/**
 * Opens a checkpoint: a `.safetensors` file in the layout of Stability AI's releases, one of a UNet alone, or a folder in diffusers'
 * layout. Only headers are read (and, for SD2.x, one bias of 320 numbers), so that 7 GB open in milliseconds.
 * A text encoder or VAE may be missing; what is there is in `components`.
 * Throws "checkpoint.unsupported" with what the file is instead, "checkpoint.incomplete" for a network whose weights are not all
 * there, and the errors of `SafetensorsFile.open`.
 */
export async function openCheckpoint(path: string, { prediction }: OpenOptions = {}): Promise<Checkpoint> {
  const collection = await collect(resolve(path));
  return assembleCheckpoint(prediction ? { ...collection, declared: { ...collection.declared, prediction } } : collection);
}

async function collect(path: string): Promise<WeightCollection> {
  // What is wrong with a path that is no folder, SafetensorsFile says.
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (isFolder) return collectDiffusersFolder(path);
  const file = await SafetensorsFile.open(path);
  try {
    if (path.endsWith(".trt_lora")) throw refusal(path, { kind: "delta", label: "a delta (.trt_lora)" });
    return await collectSingleFile(file, path);
  } finally {
    await file.close();
  }
}
