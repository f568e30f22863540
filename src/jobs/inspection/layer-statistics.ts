import { UserError } from "../../formats/errors.ts";
import { findNonFinite, isNumericDtype } from "../../formats/numbers.ts";
import type { WeightArithmetic } from "../../lora/merge.ts";
import { elementStatistics, type ElementStatistics } from "./element-statistics.ts";
import type { InspectionBase } from "./inspection-base.ts";
import { changeMatrix, type LayerMatrix } from "./layer-matrix.ts";
import { NEEDS_BASE, type Layer, type OpenedLayers } from "./layers.ts";
import { effectiveRank, singularValues, spectralNorm, spectrumCost } from "./spectrum.ts";
import type { LayerStatistics } from "./types.ts";

/** Operations up to which a table's row has its whole spectrum: a second at most. A detail takes its time. */
const ROW_SPECTRUM_COST = 1e9;

/** What numbers are computed with. */
export interface StatisticsTools {
  readonly opened: OpenedLayers;
  readonly base: InspectionBase | undefined;
  readonly arithmetic: WeightArithmetic;
  readonly signal?: AbortSignal | undefined;
}

/** A layer as a matrix, or why it is none. */
export async function layerMatrix(layer: Layer, { base, arithmetic }: StatisticsTools): Promise<LayerMatrix | string> {
  if (!layer.readChange) return layer.tensor ?? `Tensors of dtype ${layer.dtype} cannot be read as numbers.`;
  const { shape, weight } = layer;
  const readBase = base?.read && weight ? () => base.read!(weight.name) : undefined;
  if (!shape) return NEEDS_BASE;
  try {
    const change = await layer.readChange();
    const matrix = await changeMatrix({ shape, terms: [{ change, scale: 1 }], readBase }, arithmetic);
    return matrix ?? NEEDS_BASE;
  } catch (error) {
    // One layer that cannot be computed leaves the others.
    if (error instanceof UserError && error.code === "delta.wrongBase") return error.message;
    throw error;
  }
}

/** NaN and infinite values among what is stored of a layer. Of a tensor that stays in its file its elements tell. */
export async function storedNonFinite(
  layer: Layer,
  { opened }: StatisticsTools,
): Promise<{ readonly nan: number; readonly infinite: number }> {
  let [nan, infinite] = [0, 0];
  if (!layer.readChange) return { nan, infinite };
  for (const entry of layer.entries.filter(({ dtype }) => isNumericDtype(dtype))) {
    const found = findNonFinite(await opened.read(entry));
    nan += found.nan;
    infinite += found.inf;
  }
  return { nan, infinite };
}

/** All numbers of a layer that are quick enough for a table. */
export async function layerStatistics(layer: Layer, tools: StatisticsTools): Promise<LayerStatistics> {
  const stored = await storedNonFinite(layer, tools);
  const described = describe(layer);
  if (stored.nan + stored.infinite > 0) return { ...described, ...stored, reason: nonFiniteReason(stored) };
  const matrix = await layerMatrix(layer, tools);
  if (typeof matrix === "string") return { ...described, ...stored, reason: matrix };
  return matrixStatistics(layer, matrix, await elementStatistics(matrix, tools.signal), tools);
}

/** The numbers of a layer whose elements have been looked at. */
export async function matrixStatistics(
  layer: Layer,
  matrix: LayerMatrix,
  elements: ElementStatistics,
  { base, signal }: StatisticsTools,
  values?: Float64Array,
): Promise<LayerStatistics> {
  const { maximum, mean, sparsity, nan, infinite } = elements;
  const isFinite = nan + infinite === 0;
  // Whole checkpoints are read once: their tensors' spectra come with the detail.
  const isQuick = layer.readChange !== undefined && spectrumCost(matrix) <= ROW_SPECTRUM_COST;
  const spectrum = !isFinite ? undefined : (values ?? (isQuick ? await singularValues(matrix, signal) : undefined));
  const spectral = spectrum?.[0] ?? (isFinite && layer.readChange ? await spectralNorm(matrix, signal) : undefined);
  const baseNorm = layer.readChange && layer.weight ? await base?.norm(layer.weight.name) : undefined;
  // Of a product the factors tell it without rounding every element.
  const norm = matrix.factors && spectrum ? Math.sqrt(spectrum.reduce((sum, value) => sum + value * value, 0)) : elements.norm;
  return {
    ...describe(layer),
    norm,
    ...(baseNorm !== undefined && { baseNorm, ...(baseNorm > 0 && { relativeNorm: norm / baseNorm }) }),
    ...(spectral !== undefined && { spectralNorm: spectral }),
    ...(spectrum && { effectiveRank: effectiveRank(spectrum) }),
    maximum,
    mean,
    sparsity,
    nan,
    infinite,
    ...(!isFinite && { reason: nonFiniteReason({ nan, infinite }) }),
  };
}

function describe({ name, kind, rank, alpha }: Layer): Pick<LayerStatistics, "name" | "kind" | "rank" | "alpha"> {
  return { name, kind, ...(rank !== undefined && { rank }), ...(alpha !== undefined && { alpha }) };
}

function nonFiniteReason({ nan, infinite }: { readonly nan: number; readonly infinite: number }): string {
  return `It has ${nan} NaN and ${infinite} infinite values.`;
}
