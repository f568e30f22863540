import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { UserError } from "../formats/errors.ts";
import { loadAdapter, type LoadedAdapter } from "../lora/load-adapter.ts";
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
    const known = this.#adapters.get(key);
    const adapter = known ?? (await loadAdapter(path, describeBase(this.#bundle), baseReader(this.#bundle), signal));
    // Last in the map is most recently used.
    this.#adapters.delete(key);
    this.#adapters.set(key, adapter);
    for (const oldest of [...this.#adapters.keys()].slice(0, Math.max(0, this.#adapters.size - KEPT))) this.#adapters.delete(oldest);
    return adapter;
  }
}
