import { throwIfCancelled } from "../../formats/errors.ts";
import { lowRankSingularValues } from "../../lora/linear-algebra/low-rank-svd.ts";
import { symmetricEigenvalues } from "../../lora/linear-algebra/symmetric-eigenvalues.ts";
import { dot, vector, zeroVectors, type Vectors } from "../../lora/linear-algebra/vectors.ts";
import { readPieces } from "./element-statistics.ts";
import type { LayerMatrix } from "./layer-matrix.ts";

/** Products of rows computed before other requests get their turn. */
const ROWS_AT_ONCE = 64;

/** The power method ends where a step changes the norm by less than this part of it. */
const TOLERANCE = 1e-9;
const MOST_STEPS = 500;

/**
 * All singular values in falling order. Of a product those of its factors, to full precision; else the square roots of the
 * eigenvalues of the smaller Gram matrix, of which those below 1e-8 of the largest are rounding.
 */
export async function singularValues(matrix: LayerMatrix, signal?: AbortSignal): Promise<Float64Array> {
  if (matrix.factors) return matrix.factors.rank === 0 ? new Float64Array(1) : lowRankSingularValues(matrix.factors);
  const eigenvalues = symmetricEigenvalues(await gramMatrix(matrix, signal));
  return eigenvalues.toReversed().map((value) => Math.sqrt(Math.max(0, value)));
}

/** Operations that `singularValues` takes, about: what decides whether it is worth the wait. */
export function spectrumCost({ rows, columns, factors }: LayerMatrix): number {
  if (factors) return 2 * factors.rank ** 2 * (rows + columns) + 40 * factors.rank ** 3;
  const [small, large] = [Math.min(rows, columns), Math.max(rows, columns)];
  return small ** 2 * large + 2 * small ** 3;
}

/** A·Aᵀ where A has fewer rows than columns, else Aᵀ·A. */
async function gramMatrix(matrix: LayerMatrix, signal: AbortSignal | undefined): Promise<Vectors> {
  const vectors = await smallerSide(matrix, signal);
  const size = vectors.count;
  const gram = zeroVectors(size, size);
  for (let i = 0; i < size; i++) {
    if (i % ROWS_AT_ONCE === 0) await turn(signal);
    const row = vector(vectors, i);
    for (let j = 0; j <= i; j++) gram.values[i * size + j] = gram.values[j * size + i] = dot(row, vector(vectors, j));
  }
  return gram;
}

/** The rows, or the columns where they are fewer. */
async function smallerSide(matrix: LayerMatrix, signal: AbortSignal | undefined): Promise<Vectors> {
  const { rows, columns } = matrix;
  const isWide = rows <= columns;
  const vectors = isWide ? zeroVectors(rows, columns) : zeroVectors(columns, rows);
  for await (const { row, values } of readPieces(matrix, signal)) {
    if (isWide) vectors.values.set(values, row * columns);
    else for (let i = 0; i < values.length; i++) vectors.values[(i % columns) * rows + row + Math.floor(i / columns)] = values[i]!;
  }
  return vectors;
}

/** The largest singular value, by the power method on Aᵀ·A from a start that has a part in every direction. */
export async function spectralNorm(matrix: LayerMatrix, signal?: AbortSignal): Promise<number> {
  if (matrix.factors) return (await singularValues(matrix))[0] ?? 0;
  const { rows, columns } = matrix;
  // Not all alike, so that it is orthogonal to no vector that occurs in practice.
  let direction = Float64Array.from({ length: columns }, (_, index) => 1 + 0.5 * Math.sin(index * 12.9898));
  let norm = 0;
  for (let step = 0; step < MOST_STEPS; step++) {
    await turn(signal);
    const image = new Float64Array(rows);
    const back = new Float64Array(columns);
    for await (const { row, values } of readPieces(matrix, signal)) multiplyBoth(values, row, columns, direction, image, back);
    const length = Math.sqrt(dot(back, back));
    const found = Math.sqrt(dot(image, image)) / Math.sqrt(dot(direction, direction));
    if (length === 0 || !Number.isFinite(length)) return found;
    if (Math.abs(found - norm) <= TOLERANCE * found) return found;
    norm = found;
    direction = back.map((value) => value / length);
  }
  return norm;
}

/** image = A·direction and back += Aᵀ·image for the rows in `values`. */
function multiplyBoth(
  values: Float32Array,
  firstRow: number,
  columns: number,
  direction: Float64Array,
  image: Float64Array,
  back: Float64Array,
): void {
  for (let start = 0, row = firstRow; start < values.length; start += columns, row++) {
    let sum = 0;
    for (let j = 0; j < columns; j++) sum += values[start + j]! * direction[j]!;
    image[row] = sum;
    if (sum !== 0) for (let j = 0; j < columns; j++) back[j]! += sum * values[start + j]!;
  }
}

/**
 * The effective rank exp(−Σ pᵢ·ln pᵢ), pᵢ = σᵢ / Σσ: as many equal singular values would have this entropy (O. Roy and M. Vetterli, "The
 * effective rank: a measure of effective dimensionality", EUSIPCO 2007). 0 for a matrix of zeros.
 */
export function effectiveRank(values: Float64Array): number {
  const sum = values.reduce((total, value) => total + value, 0);
  if (sum === 0) return 0;
  const entropy = values.reduce((total, value) => (value > 0 ? total - (value / sum) * Math.log(value / sum) : total), 0);
  return Math.exp(entropy);
}

async function turn(signal: AbortSignal | undefined): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
  throwIfCancelled(signal);
}
