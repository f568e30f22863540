import type { CompareResult, LayerComparison } from "../../jobs/comparison/types.ts";
import { networkMap, type Combine, type MapComponent } from "../shared/network.ts";
import { formatNumber, formatShare } from "../shared/numbers.ts";
import type { CompareTexts } from "./protocol.ts";

export type CompareMeasure = "difference" | "cosine" | "overlap";

/** How a measure is shown: what it is, its numbers, and what the strongest colour stands for. */
export interface ShownMeasure {
  readonly legend: string;
  readonly number: (value: number | undefined) => string;
  readonly maximum?: number;
}

export function shownMeasure(measure: CompareMeasure, { base }: CompareResult, texts: CompareTexts): ShownMeasure {
  const toDigits = (value: number | undefined) => (value === undefined ? "—" : value.toFixed(3));
  if (measure === "cosine") return { legend: texts.legendCosine, number: toDigits, maximum: 1 };
  if (measure === "overlap") return { legend: texts.legendOverlap, number: toDigits, maximum: 1 };
  return base === undefined
    ? { legend: texts.legendDifference, number: formatNumber }
    : { legend: texts.legendRelativeDifference, number: formatShare };
}

/** The map of a measure: a square is all its layers as one vector; of the overlap it is their mean. */
export function compareMap({ layers, base }: CompareResult, measure: CompareMeasure): MapComponent[] {
  const combine: Record<CompareMeasure, (rows: readonly LayerComparison[]) => number | undefined> = {
    difference: (rows) => jointDifference(rows, base !== undefined),
    cosine: jointCosine,
    overlap: (rows) =>
      mean(rows.flatMap(({ overlapOutputs, overlapInputs }) => [overlapOutputs, overlapInputs].filter((each) => each !== undefined))),
  };
  const ofLayers: Combine = (indices) => combine[measure](indices.map((index) => layers[index]!));
  return networkMap(layers, ofLayers);
}

function jointDifference(rows: readonly LayerComparison[], isRelative: boolean): number | undefined {
  let [square, base, count] = [0, 0, 0];
  for (const { difference, baseNorm } of rows) {
    if (difference === undefined || (isRelative && baseNorm === undefined)) continue;
    square += difference ** 2;
    base += (baseNorm ?? 0) ** 2;
    count++;
  }
  if (count === 0 || (isRelative && base === 0)) return undefined;
  return isRelative ? Math.sqrt(square / base) : Math.sqrt(square);
}

function jointCosine(rows: readonly LayerComparison[]): number | undefined {
  let [dot, a, b] = [0, 0, 0];
  for (const { cosine, normA = 0, normB = 0 } of rows) {
    dot += (cosine ?? 0) * normA * normB;
    a += normA ** 2;
    b += normB ** 2;
  }
  return a * b === 0 ? undefined : dot / Math.sqrt(a * b);
}

function mean(values: readonly number[]): number | undefined {
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0) / values.length;
}
