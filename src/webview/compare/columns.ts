import type { LayerComparison } from "../../jobs/comparison/types.ts";
import type { GridRow } from "../shared/grid-element.ts";
import { shortName } from "../shared/layer-names.ts";
import { formatNumber, formatShare } from "../shared/numbers.ts";
import type { Column } from "../shared/table-model.ts";
import type { CompareTexts } from "./protocol.ts";

export interface ComparisonRow extends GridRow {
  readonly layer: LayerComparison;
}

type Numbers = {
  [K in keyof LayerComparison]-?: NonNullable<LayerComparison[K]> extends number ? K : never;
}[keyof LayerComparison];

/** The comparison's columns; those of B are left out where there is no B, those of the base where there is none. */
export function comparisonColumns(
  texts: CompareTexts,
  { hasB, hasBase }: { readonly hasB: boolean; readonly hasBase: boolean },
): Column<GridRow>[] {
  const layerOf = (row: GridRow) => (row as ComparisonRow).layer;
  const text = (
    id: string,
    title: string,
    width: number | undefined,
    get: (layer: LayerComparison) => string,
    shown = get,
  ): Column<GridRow> => ({
    id,
    title,
    ...(width !== undefined && { width }),
    isNumeric: false,
    value: (row) => get(layerOf(row)),
    text: (row) => shown(layerOf(row)),
  });
  const number = (
    id: Numbers,
    title: string,
    about = title,
    show: (value: number | undefined) => string = formatNumber,
  ): Column<GridRow> => ({
    id,
    title,
    about,
    width: 96,
    isNumeric: true,
    value: (row) => layerOf(row)[id],
    text: (row) => show(layerOf(row)[id]),
  });
  const whole = (value: number | undefined) => (value === undefined ? "—" : String(value));
  const digits = (value: number | undefined) => (value === undefined ? "—" : value.toFixed(4));
  const places = { both: texts.both, a: "A", b: "B" };
  const name = text(
    "name",
    texts.columnName,
    undefined,
    (layer) => layer.name,
    (layer) => shortName(layer.name),
  );
  return [
    name,
    ...(hasB ? [text("in", texts.columnIn, 64, (layer) => places[layer.in])] : []),
    text("shape", texts.columnShape, 112, ({ shape }) => shape?.join(" × ") ?? "—"),
    number("rankA", texts.columnRankA, texts.columnRankA, whole),
    ...(hasB ? [number("rankB", texts.columnRankB, texts.columnRankB, whole)] : []),
    number("normA", texts.normA),
    ...(hasB
      ? [
          number("normB", texts.normB),
          number("ratio", texts.ratio),
          number("cosine", texts.cosine, texts.aboutCosine, digits),
          number("difference", texts.difference, texts.aboutDifference),
          number("overlapOutputs", texts.columnOverlapOutputs, texts.aboutOverlap, digits),
          number("overlapInputs", texts.columnOverlapInputs, texts.aboutOverlap, digits),
        ]
      : []),
    ...(hasBase
      ? [
          number("relativeA", texts.columnRelativeA, texts.aboutRelative, formatShare),
          ...(hasB
            ? [
                number("relativeB", texts.columnRelativeB, texts.aboutRelative, formatShare),
                number("relativeDifference", texts.columnRelativeDifference, texts.aboutRelative, formatShare),
              ]
            : []),
        ]
      : []),
    text("reason", texts.columnReason, 220, ({ reason }) => reason ?? ""),
  ];
}
