import type { LayerDetail } from "../../jobs/inspection/types.ts";
import { csvLines } from "../shared/table-model.ts";

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
