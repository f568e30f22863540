import type { WeightArithmetic } from "../../lora/merge.ts";
import { elementStatistics } from "../inspection/element-statistics.ts";
import { LARGEST_SPECTRUM_COST } from "../inspection/layer-detail.ts";
import type { LayerMatrix } from "../inspection/layer-matrix.ts";
import { singularValues, spectrumCost } from "../inspection/spectrum.ts";
import type { LayerPair } from "./compare-layer.ts";
import { differenceMatrix } from "./difference.ts";
import type { ComparisonDetail, LayerComparison } from "./types.ts";

/** What a map of the difference shows; of A alone, where there is no B at all, A itself. */
export function shownDifference({ a, b }: LayerPair, hasB: boolean, arithmetic: WeightArithmetic): Promise<LayerMatrix> {
  return hasB ? differenceMatrix(a, b, arithmetic) : Promise.resolve(a!);
}

/**
 * The singular values of both sides and of their difference, and how large the difference is at most.
 * @param difference see `shownDifference`
 */
export async function comparisonDetail(
  comparison: LayerComparison,
  { a, b }: LayerPair,
  difference: LayerMatrix,
  signal: AbortSignal | undefined,
): Promise<ComparisonDetail> {
  const { rows, columns } = difference;
  const spectrumOf = async (matrix: LayerMatrix | undefined) =>
    matrix && spectrumCost(matrix) <= LARGEST_SPECTRUM_COST ? Array.from(await singularValues(matrix, signal)) : undefined;
  const [ofA, ofB] = [await spectrumOf(a), await spectrumOf(b)];
  const ofDifference = difference === a ? ofA : await spectrumOf(difference);
  const isMissing = (a && !ofA) || (b && !ofB) || !ofDifference;
  // What is the same in both is the same in every bit of the difference; products leave the rounding of fp32.
  const isSame = comparison.difference === 0;
  const { maximum } = await elementStatistics(difference, signal);
  return {
    comparison,
    rows,
    columns,
    ...(ofA && { singularValuesA: ofA }),
    ...(ofB && { singularValuesB: ofB }),
    ...(ofDifference && { singularValuesDifference: isSame ? ofDifference.map(() => 0) : ofDifference }),
    ...(isMissing && { spectrumReason: `A matrix of ${rows} × ${columns} is too large for all its singular values.` }),
    maximum: isSame ? 0 : maximum,
  };
}
