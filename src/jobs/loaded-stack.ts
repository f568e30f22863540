import { performance } from "node:perf_hooks";
import type { Engine } from "../engines/engine.ts";
import { throwIfCancelled } from "../formats/errors.ts";
import type { StackEntry } from "../lora/delta.ts";
import { stackScales } from "../lora/strengths.ts";
import type { AdapterCache } from "./adapter-cache.ts";
import { reportWarnings } from "./delta.ts";
import type { LoraReference, StackItem } from "./options.ts";
import type { AppliedStack, LoraReport } from "./results.ts";

/**
 * The stack that a person has set on a loaded engine, and the way to any other. A job's own LoRAs change the weights but not this
 * stack: its next user applies it again. Callers hold the engine's lock (`LoadedBundle.jobs`).
 */
export class LoadedStack {
  readonly #engine: Engine;
  readonly #adapters: AdapterCache;
  #items: readonly StackItem[] = [];

  constructor(engine: Engine, adapters: AdapterCache) {
    this.#engine = engine;
    this.#adapters = adapters;
  }

  /** What was set last, entries that are switched off included. */
  get items(): readonly StackItem[] {
    return this.#items;
  }

  /** Applies the entries that are switched on and keeps them all; where that fails, the stack is what it was. */
  async set(items: readonly StackItem[], signal: AbortSignal | undefined): Promise<AppliedStack> {
    const references = items.flatMap(({ enabled, ...reference }) => (enabled ? [reference] : []));
    const applied = await this.apply(references, signal);
    this.#items = items;
    return applied;
  }

  /** Gives the engine these LoRAs, in this order. Throws what `AdapterCache.load` and `Engine.setStack` throw. */
  async apply(references: readonly LoraReference[], signal: AbortSignal | undefined): Promise<AppliedStack> {
    throwIfCancelled(signal);
    const started = performance.now();
    const entries: StackEntry[] = [];
    const loras: LoraReport[] = [];
    for (const reference of references) {
      const scales = stackScales(reference);
      const { delta, report } = await this.#adapters.load(reference.file, signal);
      entries.push({ delta, ...scales });
      loras.push({
        file: reference.file,
        scale: reference.scale,
        matched: report.matched.length,
        unmatched: report.unmatched.map(({ name, reason }) => ({ name, reason })),
        warnings: reportWarnings(report).map((warning) => `${reference.file}: ${warning}`),
      });
    }
    const files = performance.now() - started;
    const { changed, restored, timings, warnings } = await this.#engine.setStack(entries, signal);
    return {
      loras,
      changed,
      restored,
      timings: { read: files + timings.read, merge: timings.merge, refit: timings.refit, total: performance.now() - started },
      warnings: [...warnings, ...loras.flatMap((lora) => lora.warnings)],
    };
  }
}
