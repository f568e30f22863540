import type { LayerDetail } from "../../jobs/inspection/types.ts";
import type { ChartFigure } from "../shared/figure-svg.ts";
import { csvLines } from "../shared/table-model.ts";
import type { InspectorTexts } from "./protocol.ts";

/** How many elements have which value. */
export function histogramFigure(
  { histogram }: LayerDetail,
  isLog: boolean,
  texts: Pick<InspectorTexts, "histogram" | "histogramX" | "histogramY">,
): ChartFigure {
  const { from, to, counts } = histogram!;
  const width = (to - from) / counts.length;
  return {
    title: texts.histogram,
    x: counts.map((_, index) => from + (index + 0.5) * width),
    xLabel: texts.histogramX,
    yLabel: texts.histogramY,
    isLog,
    // The logarithm of no element is not to be drawn.
    series: [{ label: texts.histogramY, y: isLog ? counts.map((count) => Math.max(count, 0.5)) : counts, kind: "bars" }],
  };
}

/** The singular values, and what share of ‖Δ‖² the first of them have. */
export function spectrumFigure(
  { singularValues = [] }: LayerDetail,
  texts: Pick<InspectorTexts, "spectrum" | "spectrumX" | "spectrumY" | "spectrumEnergy">,
): ChartFigure {
  const total = singularValues.reduce((sum, value) => sum + value * value, 0);
  let sum = 0;
  const energy = singularValues.map((value) => (total === 0 ? 0 : Math.min(1, (sum += value * value) / total)));
  return {
    title: texts.spectrum,
    x: singularValues.map((_, index) => index + 1),
    xLabel: texts.spectrumX,
    yLabel: texts.spectrumY,
    isLog: false,
    series: [
      { label: texts.spectrumY, y: singularValues, kind: "line" },
      { label: texts.spectrumEnergy, y: energy, kind: "line", isShare: true },
    ],
  };
}

/** The singular values of a detail, its largest rows and columns and its histogram, one number a line. */
export function detailCsv({ singularValues = [], histogram, topRows = [], topColumns = [] }: LayerDetail): string {
  const lines: (readonly (string | number)[])[] = [["what", "index", "value"]];
  for (const [index, value] of singularValues.entries()) lines.push(["singular value", index + 1, value]);
  for (const { index, norm } of topRows) lines.push(["row norm", index, norm]);
  for (const { index, norm } of topColumns) lines.push(["column norm", index, norm]);
  if (histogram) {
    const width = (histogram.to - histogram.from) / histogram.counts.length;
    for (const [index, count] of histogram.counts.entries()) lines.push(["count", histogram.from + (index + 0.5) * width, count]);
  }
  return csvLines(lines);
}
