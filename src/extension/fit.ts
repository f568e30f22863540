import type { ModelFile } from "./files.ts";

/**
 * Whether a LoRA or delta can be applied to an engine, as far as both headers say: a delta belongs to one checkpoint, a LoRA to
 * an architecture. Undefined where they do not say: the job looks closer.
 */
export function fits({ summary }: ModelFile, engine: ModelFile): boolean | undefined {
  if (summary.kind === "delta" && summary.fingerprint !== undefined) return summary.fingerprint === engine.summary.fingerprint;
  if (summary.architecture === undefined || engine.summary.architecture === undefined) return undefined;
  return summary.architecture === engine.summary.architecture;
}
