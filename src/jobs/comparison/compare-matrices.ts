import { readPieces } from "../inspection/element-statistics.ts";
import type { LayerMatrix } from "../inspection/layer-matrix.ts";
import { overlap, productDot, subspaces } from "./product-comparison.ts";

export interface MatrixComparison {
  readonly squareA: number;
  readonly squareB: number;
  readonly dot: number;
  readonly squareDifference: number;
  readonly overlapOutputs?: number;
  readonly overlapInputs?: number;
}

/** Below this part of ‖A‖² + ‖B‖² a difference of squares is rounding. */
const ROUNDING = 1e-14;

/** Two changes of one weight, of the same size; where both are products, neither is multiplied out. */
export async function compareMatrices(a: LayerMatrix, b: LayerMatrix, signal?: AbortSignal): Promise<MatrixComparison> {
  return a.factors && b.factors ? compareProducts(a.factors, b.factors) : compareElements(a, b, signal);
}

/** ‖Δ‖² of one change. */
export async function squaredNorm(matrix: LayerMatrix, signal?: AbortSignal): Promise<number> {
  if (matrix.factors) return Math.max(0, productDot(matrix.factors, matrix.factors));
  let sum = 0;
  for await (const { values } of readPieces(matrix, signal)) for (const value of values) sum += value * value;
  return sum;
}

function compareProducts(a: NonNullable<LayerMatrix["factors"]>, b: NonNullable<LayerMatrix["factors"]>): MatrixComparison {
  const [squareA, squareB, dot] = [Math.max(0, productDot(a, a)), Math.max(0, productDot(b, b)), productDot(a, b)];
  const squares = squareA + squareB;
  const difference = squares - 2 * dot;
  const common = { squareA, squareB, dot, squareDifference: difference <= ROUNDING * squares ? 0 : difference };
  if (a.rank === 0 || b.rank === 0 || squareA === 0 || squareB === 0) return common;
  const [spaceA, spaceB] = [subspaces(a), subspaces(b)];
  const [outputs, inputs] = [overlap(spaceA.outputs, spaceB.outputs), overlap(spaceA.inputs, spaceB.inputs)];
  return {
    ...common,
    ...(outputs !== undefined && { overlapOutputs: outputs }),
    ...(inputs !== undefined && { overlapInputs: inputs }),
  };
}

async function compareElements(a: LayerMatrix, b: LayerMatrix, signal: AbortSignal | undefined): Promise<MatrixComparison> {
  let [squareA, squareB, dot, squareDifference] = [0, 0, 0, 0];
  for await (const { row, values } of readPieces(a, signal)) {
    const others = await b.readRows(row, row + values.length / a.columns);
    for (let i = 0; i < values.length; i++) {
      const [x, y] = [values[i]!, others[i]!];
      squareA += x * x;
      squareB += y * y;
      dot += x * y;
      squareDifference += (y - x) ** 2;
    }
  }
  return { squareA, squareB, dot, squareDifference };
}
