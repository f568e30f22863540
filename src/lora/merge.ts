import type { LinearChange, WeightChange } from "./delta.ts";

/** One change of a weight and the scale it is applied at. */
export interface MergeTerm<Change extends WeightChange = LinearChange> {
  readonly change: Change;
  readonly scale: number;
}

/** One weight to be merged; `base` and `out` hold rows × columns elements, row-major. Linear: `out` = `base` + Σ scale·change. */
export interface MergeJob<Change extends WeightChange = LinearChange> {
  readonly base: Float32Array;
  readonly rows: number;
  readonly columns: number;
  /** The weight's own shape; absent: [rows, columns]. Changes that tell channels from a kernel need it. */
  readonly shape?: readonly number[];
  readonly terms: readonly MergeTerm<Change>[];
  readonly out: Float32Array;
}

/** A job of any changes, in the stack's order. */
export type StackJob = MergeJob<WeightChange>;

/**
 * The arithmetic of a stack change, in fp32. The same job gives the same bits every time, whatever was merged before; a job
 * without terms gives the base's own bits.
 */
export interface WeightArithmetic {
  /** Fills every job's `out`. Throws "cancelled" between two jobs; what is in `out` then is not to be used. */
  merge(jobs: readonly StackJob[], signal?: AbortSignal): Promise<void>;
}

/** The part of the arithmetic that is matrix products and sums; `StackArithmetic` makes the whole of it. */
export interface LinearArithmetic {
  merge(jobs: readonly MergeJob[], signal?: AbortSignal): Promise<void>;
}

/** A weight's shape as the matrix that low-rank factors change: a convolution's input channels and kernel are its columns. */
export function matrixSize(shape: readonly number[]): { readonly rows: number; readonly columns: number } {
  const [rows = 1, ...rest] = shape;
  return { rows, columns: rest.reduce((product, size) => product * size, 1) };
}

/** All low-rank terms as one product: the scaled `up` factors side by side, the `down` factors one below the other. */
export interface JoinedFactors {
  readonly rank: number;
  readonly up: Float32Array;
  readonly down: Float32Array;
}

/** Joins the low-rank terms of a job with `rows` rows; undefined where it has none. */
export function joinLowRank(terms: readonly MergeTerm[], rows: number, columns: number): JoinedFactors | undefined {
  const parts = terms.flatMap(({ change, scale }) => (change.kind === "lowRank" ? [{ ...change, scale }] : []));
  const [first] = parts;
  if (!first) return undefined;
  if (parts.length === 1 && first.scale === 1) return first;
  const rank = parts.reduce((sum, part) => sum + part.rank, 0);
  const up = new Float32Array(rows * rank);
  const down = new Float32Array(rank * columns);
  let start = 0;
  for (const part of parts) {
    down.set(part.down, start * columns);
    for (let row = 0; row < rows; row++) {
      for (let r = 0; r < part.rank; r++) up[row * rank + start + r] = part.up[row * part.rank + r]! * part.scale;
    }
    start += part.rank;
  }
  return { rank, up, down };
}

/** Adds the dense terms to `out`, in their order. */
export function addDense(terms: readonly MergeTerm[], out: Float32Array): void {
  for (const { change, scale } of terms) {
    if (change.kind !== "dense") continue;
    const { values } = change;
    for (let i = 0; i < out.length; i++) out[i]! += scale * values[i]!;
  }
}
