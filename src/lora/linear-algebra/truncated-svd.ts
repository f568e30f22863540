import { HouseholderQr } from "./householder-qr.ts";
import { jacobiSvd } from "./jacobi-svd.ts";
import type { DenseMatrix, MatrixProducts } from "./matrix-products.ts";
import { orthonormalBasis } from "./orthonormal-basis.ts";
import { balancedFactors, keptRank, type TruncatedFactors, type Truncation } from "./truncation.ts";
import { columnsOf, rowsOf, sumOfSquares, type Vectors } from "./vectors.ts";

/** Where the smaller side is no longer than this the decomposition is exact. */
const EXACT_SIDE = 96;
/** Directions looked for beside those that are kept, and products with A·Aᵀ that sharpen them. */
const OVERSAMPLING = 10;
const POWER_ITERATIONS = 2;
/** Of an energy without a rank: the first rank that is tried; each further one is twice the last. */
const FIRST_RANK = 32;

/**
 * The factors of a matrix's best approximation of small rank. Exact in double precision where a side is short, else by randomized
 * subspace iteration (Halko, Martinsson and Tropp, SIAM Review 53, 2011, algorithms 4.4 and 5.1) with 10 further directions and two power
 * iterations: the expected error is then within (1 + 4·√(2·min(m, n) / (rank − 1)))^(1/5) of the best one's, in practice within a percent.
 * What the approximation really drops is for the caller to measure. The random directions are the same every time.
 */
export async function truncatedSvd(products: MatrixProducts, matrix: DenseMatrix, truncation: Truncation): Promise<TruncatedFactors> {
  const side = Math.min(matrix.rows, matrix.columns);
  const largest = Math.min(truncation.rank ?? side, side);
  const total = sumOfSquares(matrix.values);
  for (let rank = truncation.energy === undefined ? largest : Math.min(FIRST_RANK, largest); ; rank = Math.min(2 * rank, largest)) {
    const svd =
      side <= EXACT_SIDE || rank + OVERSAMPLING >= side ? exactSvd(matrix) : await randomizedSvd(products, matrix, rank + OVERSAMPLING);
    const found = svd.singularValues.subarray(0, rank);
    const isEnough = rank === largest || sumOfSquares(found) >= truncation.energy! * total;
    if (!isEnough) continue;
    const kept = keptOf(svd.singularValues, total, { ...truncation, rank: largest });
    return balancedFactors(svd.singularValues, first(svd.left, kept), first(svd.right, kept));
  }
}

interface FoundSvd {
  readonly singularValues: Float64Array;
  readonly left: Vectors;
  readonly right: Vectors;
}

/** The energy is that of the whole matrix, of which not all singular values need be known. */
function keptOf(singularValues: Float64Array, total: number, { rank, energy }: Truncation): number {
  const known = sumOfSquares(singularValues);
  const part = energy === undefined ? undefined : Math.min(1, (energy * total) / known);
  return keptRank(singularValues, { rank, energy: part });
}

function exactSvd({ rows, columns, values }: DenseMatrix): FoundSvd {
  const isTall = rows >= columns;
  const qr = new HouseholderQr(isTall ? columnsOf(values, columns) : rowsOf(values, rows));
  const core = jacobiSvd(qr.r);
  const [long, short] = [qr.multiplyQ(core.left), core.right];
  return { singularValues: core.singularValues, left: isTall ? long : short, right: isTall ? short : long };
}

/** The largest singular values and their vectors, within the span that `size` random directions are sharpened to. */
async function randomizedSvd(products: MatrixProducts, matrix: DenseMatrix, size: number): Promise<FoundSvd> {
  const directions = { rows: matrix.columns, columns: size, values: randomNumbers(matrix.columns * size) };
  let basis = await orthonormalBasis(products, await products.multiply(matrix, directions));
  for (let iteration = 0; iteration < POWER_ITERATIONS; iteration++) {
    const turned = await orthonormalBasis(products, await products.multiply(matrix, basis, "left"));
    basis = await orthonormalBasis(products, await products.multiply(matrix, turned));
  }
  const projected = await products.multiply(basis, matrix, "left");
  // B = basisᵀ·A is wide, so its left vectors are those of the small B·Bᵀ, whose eigenvalues are the squared singular values.
  const wide = { ...projected, values: Float64Array.from(projected.values) };
  const gram = await products.multiply(wide, wide, "right");
  const { singularValues: squares, left: small } = jacobiSvd(columnsOf(gram.values, size));
  const singularValues = squares.map(Math.sqrt);
  const turn = { rows: size, columns: size, values: small.values };
  const left = await products.multiply(turn, { ...basis, values: Float64Array.from(basis.values) }, "right");
  const right = await products.multiply(turn, wide);
  return { singularValues, left: toVectors(left), right: normalized(toVectors(right), singularValues) };
}

function toVectors({ rows, columns, values }: DenseMatrix<Float64Array>): Vectors {
  return { count: rows, length: columns, values };
}

/** Each vector divided by its singular value; those of none are zero. */
function normalized({ count, length, values }: Vectors, singularValues: Float64Array): Vectors {
  const divided = values.map((value, i) => {
    const divisor = singularValues[Math.floor(i / length)]!;
    return divisor === 0 ? 0 : value / divisor;
  });
  return { count, length, values: divided };
}

function first({ length, values }: Vectors, count: number): Vectors {
  return { count, length, values: values.subarray(0, count * length) };
}

/** Numbers of both signs, the same every time (the generator mulberry32, in the public domain). */
function randomNumbers(count: number): Float32Array {
  let state = 0x9e3779b9;
  return new Float32Array(count).map(() => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 31 - 1;
  });
}
