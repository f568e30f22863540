import { throwIfCancelled } from "../../formats/errors.ts";
import type { LayerMatrix } from "./layer-matrix.ts";
import type { VectorNorm } from "./types.ts";

/** Elements looked at in one piece: little memory, yet few pieces. */
const PIECE_ELEMENTS = 1 << 20;

/** What one pass over all elements of a layer gives. */
export interface ElementStatistics {
  readonly norm: number;
  readonly maximum: number;
  readonly mean: number;
  readonly sparsity: number;
  readonly nan: number;
  readonly infinite: number;
  /** Frobenius norm of every row and column. */
  readonly rowNorms: Float64Array;
  readonly columnNorms: Float64Array;
}

/** Rows of a layer, some at a time, from the first to the last. */
export async function* readPieces(
  matrix: LayerMatrix,
  signal?: AbortSignal,
): AsyncGenerator<{ readonly row: number; readonly values: Float32Array }> {
  const rows = Math.max(1, Math.floor(PIECE_ELEMENTS / Math.max(1, matrix.columns)));
  for (let row = 0; row < matrix.rows; row += rows) {
    throwIfCancelled(signal);
    yield { row, values: await matrix.readRows(row, Math.min(matrix.rows, row + rows)) };
  }
}

/** One pass over a layer; sums are in double precision. NaN and infinite elements are counted and left out of all else. */
export async function elementStatistics(matrix: LayerMatrix, signal?: AbortSignal): Promise<ElementStatistics> {
  const { rows, columns } = matrix;
  const [rowSquares, columnSquares] = [new Float64Array(rows), new Float64Array(columns)];
  let [sum, maximum, zeros, nan, infinite] = [0, 0, 0, 0, 0];
  for await (const { row, values } of readPieces(matrix, signal)) {
    for (let i = 0, start = 0; start < values.length; i++, start += columns) {
      let squares = 0;
      for (let j = 0; j < columns; j++) {
        const value = values[start + j]!;
        const magnitude = Math.abs(value);
        if (!(magnitude < Infinity)) {
          if (magnitude === Infinity) infinite++;
          else nan++;
          continue;
        }
        if (magnitude === 0) zeros++;
        else if (magnitude > maximum) maximum = magnitude;
        sum += value;
        const square = value * value;
        squares += square;
        columnSquares[j]! += square;
      }
      rowSquares[row + i] = squares;
    }
  }
  const count = rows * columns;
  const finite = count - nan - infinite;
  return {
    norm: Math.sqrt(rowSquares.reduce((total, square) => total + square, 0)),
    maximum,
    mean: finite === 0 ? 0 : sum / finite,
    sparsity: count === 0 ? 0 : zeros / count,
    nan,
    infinite,
    rowNorms: rowSquares.map(Math.sqrt),
    columnNorms: columnSquares.map(Math.sqrt),
  };
}

/** Frobenius norm, summed in double precision. */
export function matrixNorm(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value * value;
  return Math.sqrt(sum);
}

/** Counts in `bins` bins of one width from −maximum to maximum, both ends included; what is no finite number is left out. */
export async function histogram(matrix: LayerMatrix, maximum: number, bins: number, signal?: AbortSignal): Promise<number[]> {
  const counts = Array<number>(bins).fill(0);
  const scale = maximum === 0 ? 0 : bins / (2 * maximum);
  for await (const { values } of readPieces(matrix, signal)) {
    for (const value of values) {
      if (!Number.isFinite(value)) continue;
      // The last bin takes the maximum itself.
      counts[Math.max(0, Math.min(bins - 1, Math.floor((value + maximum) * scale)))]!++;
    }
  }
  return counts;
}

/** The `count` largest, in falling order. */
export function largestNorms(norms: Float64Array, count: number): VectorNorm[] {
  const indices = Array.from(norms.keys()).toSorted((a, b) => norms[b]! - norms[a]! || a - b);
  return indices.slice(0, count).map((index) => ({ index, norm: norms[index]! }));
}
