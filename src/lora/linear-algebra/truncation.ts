import { sumOfSquares, vector, type Vectors } from "./vectors.ts";

/** How much of a decomposition is kept: at most `rank` singular values, or as few as hold `energy` of the sum of their squares. */
export interface Truncation {
  readonly rank?: number | undefined;
  /** Above 0 up to 1: the part of the squared Frobenius norm that stays at least. */
  readonly energy?: number | undefined;
}

/** How many of the singular values, in falling order, are kept: never fewer than one, and none that is zero to rounding. */
export function keptRank(singularValues: Float64Array, { rank = singularValues.length, energy = 1 }: Truncation): number {
  const largest = Math.min(Math.max(1, significantRank(singularValues)), rank);
  if (energy >= 1) return largest;
  const wanted = energy * sumOfSquares(singularValues);
  let sum = 0;
  for (let kept = 0; kept < largest; kept++) {
    sum += singularValues[kept]! ** 2;
    if (sum >= wanted) return kept + 1;
  }
  return largest;
}

function significantRank(singularValues: Float64Array): number {
  const least = (singularValues[0] ?? 0) * 1e-13;
  const zero = singularValues.findIndex((value) => value <= least);
  return zero < 0 ? singularValues.length : zero;
}

/** A product's truncated factors, row-major, the singular values shared between the two: up [rows, rank] · down [rank, columns]. */
export interface TruncatedFactors {
  readonly rank: number;
  readonly up: Float32Array;
  readonly down: Float32Array;
}

/** Σ σ·left·rightᵀ over all vectors that are given; each factor takes the square root of σ, so that neither grows out of fp16. */
export function balancedFactors(singularValues: Float64Array, left: Vectors, right: Vectors): TruncatedFactors {
  const rank = left.count;
  const up = new Float32Array(left.length * rank);
  const down = new Float32Array(rank * right.length);
  for (let r = 0; r < rank; r++) {
    const root = Math.sqrt(singularValues[r]!);
    const [from, to] = [vector(left, r), vector(right, r)];
    for (let row = 0; row < left.length; row++) up[row * rank + r] = from[row]! * root;
    for (let column = 0; column < right.length; column++) down[r * right.length + column] = to[column]! * root;
  }
  return { rank, up, down };
}
