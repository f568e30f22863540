import { dot, vector, zeroVectors, type Vectors } from "./vectors.ts";

/** A = Σ singularValues[i] · left[i] · right[i]ᵀ, the singular values in falling order. */
export interface Svd {
  readonly singularValues: Float64Array;
  /** Vectors of as many numbers as A has rows; zero where the singular value is zero to rounding. */
  readonly left: Vectors;
  /** Vectors of as many numbers as A has columns. */
  readonly right: Vectors;
}

/** Far more than are ever needed: 6 to 10 are usual, because convergence is quadratic. */
const MOST_SWEEPS = 60;

/**
 * The singular value decomposition of a small dense matrix in double precision, by one-sided Jacobi rotations (Demmel and Veselić,
 * "Jacobi's method is more accurate than QR", SIAM J. Matrix Anal. Appl. 13, 1992). Meant for matrices of up to a few hundred columns:
 * some 4·m·n² operations a sweep. As many singular values as the smaller of A's sizes.
 * @param columns the columns of A [m, n]; not changed
 */
export function jacobiSvd(columns: Vectors): Svd {
  if (columns.count <= columns.length) return decomposeTall({ ...columns, values: columns.values.slice() });
  const { singularValues, left, right } = decomposeTall(transpose(columns));
  return { singularValues, left: right, right: left };
}

function transpose({ count, length, values }: Vectors): Vectors {
  const turned = zeroVectors(length, count);
  for (let i = 0; i < count; i++) for (let j = 0; j < length; j++) turned.values[j * count + i] = values[i * length + j]!;
  return turned;
}

/** Rotates pairs of columns until all are orthogonal: their norms are the singular values then. Changes `columns`. */
function decomposeTall(columns: Vectors): Svd {
  const { count } = columns;
  const right = zeroVectors(count, count);
  for (let i = 0; i < count; i++) right.values[i * count + i] = 1;
  const views = Array.from({ length: count }, (_, index) => vector(columns, index));
  const rotations = Array.from({ length: count }, (_, index) => vector(right, index));
  let sweep = 0;
  while (sweep++ < MOST_SWEEPS && rotateAll(views, rotations) > 0);
  const norms = views.map((column) => Math.sqrt(dot(column, column)));
  const order = norms.map((_, index) => index).toSorted((a, b) => norms[b]! - norms[a]!);
  const singularValues = Float64Array.from(order, (index) => norms[index]!);
  const negligible = (singularValues[0] ?? 0) * Number.EPSILON;
  const left = zeroVectors(count, columns.length);
  const sorted = zeroVectors(count, count);
  for (const [place, index] of order.entries()) {
    vector(sorted, place).set(rotations[index]!);
    const norm = norms[index]!;
    if (norm > negligible) vector(left, place).set(views[index]!.map((value) => value / norm));
  }
  return { singularValues, left, right: sorted };
}

/** One sweep over all pairs; gives how many were rotated. */
function rotateAll(columns: readonly Float64Array[], rotations: readonly Float64Array[]): number {
  const squares = columns.map((column) => dot(column, column));
  const negligible = Math.max(0, ...squares) * Number.EPSILON ** 2;
  let rotated = 0;
  for (let p = 0; p < columns.length - 1; p++) {
    for (let q = p + 1; q < columns.length; q++) {
      const a = squares[p]!;
      const b = squares[q]!;
      // What rounding left of a column is orthogonal to nothing, however often it is rotated.
      if (Math.min(a, b) <= negligible) continue;
      const c = dot(columns[p]!, columns[q]!);
      if (Math.abs(c) <= Number.EPSILON * Math.sqrt(a * b) * 4) continue;
      rotated++;
      const zeta = (b - a) / (2 * c);
      const tangent = Math.sign(zeta || 1) / (Math.abs(zeta) + Math.hypot(1, zeta));
      const cosine = 1 / Math.hypot(1, tangent);
      rotate(columns[p]!, columns[q]!, cosine, cosine * tangent);
      rotate(rotations[p]!, rotations[q]!, cosine, cosine * tangent);
      squares[p] = a - tangent * c;
      squares[q] = b + tangent * c;
    }
  }
  return rotated;
}

function rotate(p: Float64Array, q: Float64Array, cosine: number, sine: number): void {
  for (let i = 0; i < p.length; i++) {
    const x = p[i]!;
    const y = q[i]!;
    p[i] = cosine * x - sine * y;
    q[i] = sine * x + cosine * y;
  }
}
