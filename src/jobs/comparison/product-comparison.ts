import { LowRankSvd, type LowRankProduct } from "../../lora/linear-algebra/low-rank-svd.ts";
import { dot, vector, type Vectors } from "../../lora/linear-algebra/vectors.ts";

/** Distance of fp32 numbers at 1: what is smaller beside the largest singular value is rounding of the factors. */
const EPSILON = 2 ** -23;

/** ⟨up·down, up'·down'⟩ = Σ (upᵀ·up') ⊙ (down·down'ᵀ), without multiplying either product out. */
export function productDot(a: LowRankProduct, b: LowRankProduct): number {
  const up = gramOfColumns(a, b);
  const columns = a.rank === 0 ? 0 : a.down.length / a.rank;
  let sum = 0;
  for (let i = 0; i < a.rank; i++) {
    for (let j = 0; j < b.rank; j++) {
      let down = 0;
      for (let k = 0; k < columns; k++) down += a.down[i * columns + k]! * b.down[j * columns + k]!;
      sum += up[i * b.rank + j]! * down;
    }
  }
  return sum;
}

/** upᵀ·up', row-major, row after row of both: in the order that they lie in memory. */
function gramOfColumns(a: LowRankProduct, b: LowRankProduct): Float64Array {
  const gram = new Float64Array(a.rank * b.rank);
  const rows = a.rank === 0 ? 0 : a.up.length / a.rank;
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < a.rank; i++) {
      const value = a.up[row * a.rank + i]!;
      for (let j = 0; j < b.rank; j++) gram[i * b.rank + j]! += value * b.up[row * b.rank + j]!;
    }
  }
  return gram;
}

/** Orthonormal bases of the spaces that a product writes to and reads from. */
export interface Subspaces {
  readonly outputs: Vectors;
  readonly inputs: Vectors;
}

/** The singular vectors whose singular value is more than rounding: σ > σ₁ · max(rows, columns) · 2⁻²³. */
export function subspaces(product: LowRankProduct): Subspaces {
  const svd = new LowRankSvd(product);
  const [largest = 0] = svd.singularValues;
  const size = Math.max(product.up.length, product.down.length) / product.rank;
  const rank = svd.singularValues.filter((value) => value > largest * size * EPSILON).length;
  return { outputs: svd.left(rank), inputs: svd.right(rank) };
}

/** ‖Q_Aᵀ·Q_B‖² / min(r_A, r_B); undefined where one space is empty. */
export function overlap(a: Vectors, b: Vectors): number | undefined {
  const smaller = Math.min(a.count, b.count);
  if (smaller === 0) return undefined;
  let sum = 0;
  for (let i = 0; i < a.count; i++) for (let j = 0; j < b.count; j++) sum += dot(vector(a, i), vector(b, j)) ** 2;
  return Math.min(1, sum / smaller);
}
