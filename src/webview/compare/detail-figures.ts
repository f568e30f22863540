import type { ComparisonDetail } from "../../jobs/comparison/types.ts";
import type { ChartFigure, ChartSeries } from "../shared/figure-svg.ts";
import { csvLines } from "../shared/table-model.ts";
import type { CompareTexts } from "./protocol.ts";

/** A curve for each side, and a dashed one for what they differ by. */
export function spectrumFigure(
  { singularValuesA, singularValuesB, singularValuesDifference }: ComparisonDetail,
  hasB: boolean,
  texts: Pick<CompareTexts, "spectrum" | "spectrumX" | "spectrumY">,
): ChartFigure {
  const curve = (label: string, y: readonly number[] | undefined, kind: ChartSeries["kind"]): ChartSeries[] =>
    y ? [{ label, y, kind }] : [];
  const series = [
    ...curve("A", singularValuesA, "line"),
    ...curve("B", singularValuesB, "line"),
    ...(hasB ? curve("B − A", singularValuesDifference, "dashes") : []),
  ];
  const count = Math.max(0, ...series.map(({ y }) => y.length));
  return {
    title: texts.spectrum,
    x: Array.from({ length: count }, (_, index) => index + 1),
    xLabel: texts.spectrumX,
    yLabel: texts.spectrumY,
    isLog: false,
    series,
  };
}

/** The numbers of a layer and its singular values, one a line. */
export function comparisonDetailCsv({ comparison, maximum, ...spectra }: ComparisonDetail): string {
  const { singularValuesA = [], singularValuesB = [], singularValuesDifference = [] } = spectra;
  const numeric = Object.entries({ ...comparison, maximum }).filter(([, value]) => typeof value === "number");
  const values = (what: string, all: readonly number[]) => all.map((value, index) => [what, index + 1, value] as const);
  return csvLines([
    ["what", "index", "value"],
    ...numeric.map(([what, value]) => [what, "", value as number] as const),
    ...values("singular value of A", singularValuesA),
    ...values("singular value of B", singularValuesB),
    ...values("singular value of B − A", singularValuesDifference),
  ]);
}
