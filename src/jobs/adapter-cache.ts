import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { UserError } from "../formats/errors.ts";
import { openStoredDelta } from "../engines/tensorrt/stored-delta.ts";
import { isDeltaFile, loadAdapter, type LoadedAdapter } from "../lora/load-adapter.ts";
import { baseReader, describeBase } from "./base-description.ts";
import type { OpenedBundle } from "./engine-cache.ts";

/** Deltas kept in memory for one engine; the ones that are used together are never more than a handful. */
const KEPT = 8;

/**
 * The LoRAs and deltas of one loaded engine, read once: changing a strength, or going back to a LoRA, reads no file again. A file
 * that has changed on disk is read again.
 */
export class AdapterCache {
  readonly #bundle: OpenedBundle;
  readonly #adapters = new Map<string, LoadedAdapter>();

  constructor(bundle: OpenedBundle) {
    this.#bundle = bundle;
  }

  /** The adapter in a LoRA or delta file. Throws what `loadAdapter` throws. */
  async load(path: string, signal: AbortSignal | undefined): Promise<LoadedAdapter> {
    const found = await stat(path).catch(() => undefined);
    if (!found) throw new UserError("file.missing", `${path} does not exist. Give the path of a LoRA or delta.`);
    const key = `${resolve(path)}:${found.size}:${found.mtimeMs}`;
    const adapter = this.#adapters.get(key) ?? (await this.#open(path, signal));
    // Last in the map is most recently used.
    this.#adapters.delete(key);
    this.#adapters.set(key, adapter);
    for (const oldest of [...this.#adapters.keys()].slice(0, Math.max(0, this.#adapters.size - KEPT))) this.#adapters.delete(oldest);
    return adapter;
  }

  async #open(path: string, signal: AbortSignal | undefined): Promise<LoadedAdapter> {
    const base = describeBase(this.#bundle);
    // An engine on a GPU takes a delta's factors from the file itself.
    const onGpu = this.#bundle.bundle.backend.name !== "onnxruntime";
    const delta = onGpu && (await isDeltaFile(path)) ? await openStoredDelta(path, base) : undefined;
    if (delta) return { delta, report: { matched: [...delta.changes.keys()], unmatched: [], suspicious: [] } };
    return loadAdapter(path, base, baseReader(this.#bundle), signal);
  }
}
