import { SafetensorsFile } from "../formats/safetensors.ts";
import type { BaseDescription } from "./base.ts";
import type { Delta } from "./delta.ts";
import { LoraFile } from "./lora-file.ts";
import { loadPreparedDelta, prepareDelta, type DeltaReport } from "./make-delta.ts";
import { readDelta, type BaseReader } from "./read-delta.ts";

export interface LoadedAdapter {
  readonly delta: Delta;
  readonly report: DeltaReport;
}

/** Whether a file is a delta rather than a LoRA: by its metadata, or, of version 1, which has none, by its extension. */
export async function isDeltaFile(path: string): Promise<boolean> {
  const file = await SafetensorsFile.open(path);
  await file.close();
  return file.metadata.get("format")?.startsWith("trt_lora/") || path.toLowerCase().endsWith(".trt_lora");
}

/**
 * Loads what a person calls a LoRA, a LoRA's file or a delta's, ready for a stack on this engine. A LoRA goes through the same
 * steps as when a delta file is made of it. Throws what `LoraFile.open`, `prepareDelta` and `readDelta` throw.
 */
export async function loadAdapter(path: string, base: BaseDescription, readBase: BaseReader, signal?: AbortSignal): Promise<LoadedAdapter> {
  if (await isDeltaFile(path)) {
    const { delta, unmatched, suspicious } = await readDelta(path, base, readBase, signal);
    return { delta, report: { matched: Array.from(delta.changes.keys()), unmatched, suspicious } };
  }
  const lora = await LoraFile.open(path);
  try {
    const prepared = await prepareDelta(lora, base, 1, { signal });
    return { delta: await loadPreparedDelta(prepared, signal), report: prepared.report };
  } finally {
    await lora.close();
  }
}
