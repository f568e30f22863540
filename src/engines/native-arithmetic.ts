import { availableParallelism } from "node:os";
import { cancelled, throwIfCancelled } from "../formats/errors.ts";
import type { LinearArithmetic, MergeJob } from "../lora/merge.ts";
import type { NativeAddon, NativeBuffer, NativeMergeJob } from "./native-addon.ts";

/** Beyond this many threads memory is the limit, not arithmetic. */
const MOST_THREADS = 16;

/** The merge in the native add-on: all jobs in one call, each weight read once and written once (native/weight_merge.h). */
export class NativeArithmetic implements LinearArithmetic {
  readonly #addon: NativeAddon;
  readonly #threads: number;

  /** @param threads absent: one for each core */
  constructor(addon: NativeAddon, threads = Math.min(availableParallelism(), MOST_THREADS)) {
    this.#addon = addon;
    this.#threads = threads;
  }

  async merge(jobs: readonly MergeJob[], signal?: AbortSignal): Promise<void> {
    throwIfCancelled(signal);
    const { done, cancel } = this.#addon.merge(jobs.map(toNativeJob), this.#threads);
    signal?.addEventListener("abort", cancel, { once: true });
    try {
      if (!(await done)) throw cancelled();
    } finally {
      signal?.removeEventListener("abort", cancel);
    }
  }
}

function buffer(data: Float32Array): NativeBuffer {
  return { data, dtype: "F32" };
}

function toNativeJob({ base, rows, columns, terms, out }: MergeJob): NativeMergeJob {
  const lowRank: NativeMergeJob["lowRank"][number][] = [];
  const dense: NativeMergeJob["dense"][number][] = [];
  for (const { change, scale } of terms) {
    if (change.kind === "lowRank") lowRank.push({ up: buffer(change.up), down: buffer(change.down), rank: change.rank, scale });
    else dense.push({ values: buffer(change.values), scale });
  }
  return { rows, columns, base: buffer(base), lowRank, dense, output: buffer(out) };
}
