import type { LayerDescription, LayerStatistics } from "../../jobs/inspection/types.ts";
import type { GridRow } from "../shared/grid-element.ts";
import { shortName } from "../shared/layer-names.ts";
import { formatNumber, formatShare } from "../shared/numbers.ts";
import type { Column } from "../shared/table-model.ts";
import type { InspectorTexts } from "./protocol.ts";

/** A layer as a row: what the header says, and its numbers as they come. */
export interface LayerRow extends GridRow {
  readonly layer: LayerDescription;
  readonly statistics: LayerStatistics | undefined;
}

type Numbers = "rank" | "alpha" | "norm" | "relativeNorm" | "spectralNorm" | "effectiveRank" | "maximum" | "mean" | "sparsity";

/** The table's columns; those that no layer of the file can have are left out. */
export function layerColumns(
  texts: InspectorTexts,
  options: { readonly isAdapter: boolean; readonly hasBase: boolean },
): Column<GridRow>[] {
  const { isAdapter, hasBase } = options;
  const text = (id: string, title: string, width: number | undefined, get: (row: LayerRow) => string): Column<GridRow> => ({
    id,
    title,
    ...(width !== undefined && { width }),
    isNumeric: false,
    value: (row) => get(row as LayerRow),
    text: (row) => get(row as LayerRow),
  });
  const number = (id: Numbers, title: string, about: string, show = formatNumber): Column<GridRow> => {
    const value = (row: GridRow) =>
      (row as LayerRow).statistics?.[id] ?? (id === "rank" || id === "alpha" ? (row as LayerRow).layer[id] : undefined);
    return { id, title, about, width: 92, isNumeric: true, value, text: (row) => show(value(row)) };
  };
  const whole = (value: number | undefined) => (value === undefined ? "—" : String(Math.round(value * 1e4) / 1e4));
  const bad = (row: GridRow) => {
    const { statistics } = row as LayerRow;
    return statistics && statistics.nan + statistics.infinite;
  };
  return [
    { ...text("name", texts.columnName, undefined, ({ layer }) => layer.name), text: (row) => shortName((row as LayerRow).layer.name) },
    text("kind", texts.columnKind, 96, ({ layer }) => layer.kind),
    text("shape", texts.columnShape, 120, ({ layer }) => layer.shape?.join(" × ") ?? "—"),
    text("dtype", texts.columnDtype, 64, ({ layer }) => layer.dtype),
    ...(isAdapter
      ? [
          number("rank", texts.columnRank, texts.columnRank, whole),
          number("effectiveRank", texts.columnEffectiveRank, texts.aboutEffectiveRank),
          number("alpha", texts.columnAlpha, texts.columnAlpha, whole),
        ]
      : []),
    number("norm", texts.columnNorm, texts.aboutNorm),
    ...(hasBase ? [number("relativeNorm", texts.columnRelative, texts.aboutRelative)] : []),
    ...(isAdapter ? [number("spectralNorm", texts.columnSpectral, texts.aboutSpectral)] : []),
    number("maximum", texts.columnMaximum, texts.aboutMaximum),
    number("mean", texts.columnMean, texts.aboutMean),
    number("sparsity", texts.columnSparsity, texts.aboutSparsity, formatShare),
    {
      id: "nan",
      title: texts.columnNan,
      about: texts.aboutNan,
      width: 80,
      isNumeric: true,
      value: bad,
      text: (row) => whole(bad(row)),
    },
  ];
}
