import { dot, vector, type Vectors } from "./vectors.ts";

/** Far more than are ever needed: one or two for each eigenvalue are usual. */
const MOST_ITERATIONS = 60;

/**
 * The eigenvalues of a symmetric matrix in rising order, in double precision: Householder reflections make it tridiagonal (Golub and
 * Van Loan, Matrix Computations, 4th edition, algorithm 8.3.1), then implicit QL steps with Wilkinson's shift make it diagonal
 * (algorithm 8.3.3). 4/3·n³ operations.
 * @param matrix all n² numbers of the matrix; overwritten
 */
export function symmetricEigenvalues(matrix: Vectors): Float64Array {
  const { diagonal, offDiagonal } = tridiagonalize(matrix);
  diagonalize(diagonal, offDiagonal);
  return diagonal.toSorted();
}

interface Tridiagonal {
  readonly diagonal: Float64Array;
  /** Element i stands beside elements i and i + 1 of the diagonal; the last is 0. */
  readonly offDiagonal: Float64Array;
}

function tridiagonalize(matrix: Vectors): Tridiagonal {
  const size = matrix.count;
  const rows = Array.from({ length: size }, (_, index) => vector(matrix, index));
  const [diagonal, offDiagonal, product] = [new Float64Array(size), new Float64Array(size), new Float64Array(size)];
  for (let k = 0; k < size; k++) {
    const v = rows[k]!;
    diagonal[k] = v[k]!;
    const norm = Math.sqrt(dot(v, v, k + 1));
    if (k + 1 >= size || norm === 0) continue;
    // Away from v[k + 1], so that nothing cancels.
    offDiagonal[k] = v[k + 1]! > 0 ? -norm : norm;
    v[k + 1]! -= offDiagonal[k]!;
    const factor = 2 / dot(v, v, k + 1);
    if (!Number.isFinite(factor)) continue;
    // A − v·wᵀ − w·vᵀ with p = factor·A·v and w = p − (factor/2)(p·v)·v
    for (let i = k + 1; i < size; i++) product[i] = factor * dot(rows[i]!, v, k + 1);
    const half = (factor / 2) * dot(product, v, k + 1);
    for (let i = k + 1; i < size; i++) product[i]! -= half * v[i]!;
    for (let i = k + 1; i < size; i++) subtractOuter(rows[i]!, v, product, i, k + 1);
  }
  return { diagonal, offDiagonal };
}

/** Row i of A − v·wᵀ − w·vᵀ. */
function subtractOuter(row: Float64Array, v: Float64Array, w: Float64Array, i: number, start: number): void {
  const [a, b] = [v[i]!, w[i]!];
  for (let j = start; j < row.length; j++) row[j]! -= a * w[j]! + b * v[j]!;
}

function diagonalize(diagonal: Float64Array, offDiagonal: Float64Array): void {
  const size = diagonal.length;
  for (let first = 0; first < size; first++) {
    for (let iteration = 0; iteration < MOST_ITERATIONS; iteration++) {
      let last = first;
      while (last + 1 < size && !isNegligible(offDiagonal[last]!, diagonal[last]!, diagonal[last + 1]!)) last++;
      if (last === first) break;
      step(diagonal, offDiagonal, first, last);
    }
  }
}

function isNegligible(value: number, a: number, b: number): boolean {
  return Math.abs(value) <= Number.EPSILON * (Math.abs(a) + Math.abs(b));
}

/** One implicit QL step on the part from `first` to `last`, whose neighbours are not negligible. */
function step(d: Float64Array, e: Float64Array, first: number, last: number): void {
  let g = (d[first + 1]! - d[first]!) / (2 * e[first]!);
  let r = Math.hypot(g, 1);
  g = d[last]! - d[first]! + e[first]! / (g + (g >= 0 ? r : -r));
  let [sine, cosine, p] = [1, 1, 0];
  for (let i = last - 1; i >= first; i--) {
    const f = sine * e[i]!;
    const b = cosine * e[i]!;
    r = Math.hypot(f, g);
    e[i + 1] = r;
    if (r === 0) {
      // The rotation falls apart here: what is left is two smaller parts.
      d[i + 1]! -= p;
      e[last] = 0;
      return;
    }
    sine = f / r;
    cosine = g / r;
    g = d[i + 1]! - p;
    r = (d[i]! - g) * sine + 2 * cosine * b;
    p = sine * r;
    d[i + 1] = g + p;
    g = cosine * r - b;
  }
  d[first]! -= p;
  e[first] = g;
  e[last] = 0;
}
