import { html, nothing, type TemplateResult } from "lit";
import type { ComparisonDetail, LayerComparison } from "../../jobs/comparison/types.ts";
import { detailFrame, figureHead, heatMapSection, missingSpectrum, warning } from "../shared/detail-frame.ts";
import type { OpenDetail } from "../shared/detail-loader.ts";
import type { TileSource } from "../shared/heat-map-tiles.ts";
import { formatNumber, formatShare } from "../shared/numbers.ts";
import { numberList } from "../shared/page-frame.ts";
import type { PictureFormat } from "../shared/page-shell.ts";
import { spectrumFigure } from "./detail-figures.ts";
import type { CompareTexts } from "./protocol.ts";

export type CompareFigure = "spectrum" | "heatMap";

export interface CompareDetailProps {
  readonly layer: LayerComparison;
  readonly hasB: boolean;
  readonly open: OpenDetail<ComparisonDetail>;
  readonly texts: CompareTexts;
  readonly theme: number;
  readonly tiles: TileSource;
  readonly onClose: () => void;
  readonly onCopy: (detail: ComparisonDetail, format: "csv" | "json") => void;
  readonly onSave: (detail: ComparisonDetail, figure: CompareFigure, format: PictureFormat) => void;
}

/** One layer of a comparison: its numbers, the singular values of both sides and of the difference, and the difference as a picture. */
export function detailView(props: CompareDetailProps): TemplateResult {
  const { layer, hasB, open, texts, onClose, onCopy } = props;
  const place = { both: texts.inBoth, a: texts.onlyInA, b: texts.onlyInB }[layer.in];
  const content = (detail: ComparisonDetail) => html`${numbers(props, detail)} ${spectrumSection(props, detail)} ${heatMap(props, detail)}`;
  return detailFrame({
    name: layer.name,
    facts: [hasB ? place : undefined, layer.shape?.join(" × ")],
    open,
    texts,
    onClose,
    onCopy,
    content,
  });
}

function numbers({ hasB, texts }: CompareDetailProps, { comparison }: ComparisonDetail): TemplateResult {
  const known = (value: number | undefined, show: (value: number) => string = formatNumber) =>
    value === undefined ? undefined : show(value);
  const digits = (value: number) => value.toFixed(4);
  const { normA, normB, ratio, cosine, difference, rankA, rankB, reason } = comparison;
  return html`${warning(reason)}
  ${numberList(
    [
      [texts.normA, known(normA)],
      [texts.normB, known(normB)],
      [texts.ratio, known(ratio)],
      [texts.difference, hasB ? known(difference) : undefined, texts.aboutDifference],
      [texts.cosine, known(cosine, digits), texts.aboutCosine],
      [texts.overlapOutputs, known(comparison.overlapOutputs, digits), texts.aboutOverlap],
      [texts.overlapInputs, known(comparison.overlapInputs, digits), texts.aboutOverlap],
      [texts.columnRankA, known(rankA, String)],
      [texts.columnRankB, known(rankB, String)],
      [texts.columnRelativeA, known(comparison.relativeA, formatShare), texts.aboutRelative],
      [texts.columnRelativeB, known(comparison.relativeB, formatShare), texts.aboutRelative],
      [texts.columnRelativeDifference, hasB ? known(comparison.relativeDifference, formatShare) : undefined, texts.aboutRelative],
    ],
    "detail-numbers",
  )}`;
}

function spectrumSection(props: CompareDetailProps, detail: ComparisonDetail): TemplateResult | typeof nothing {
  const { texts, theme, hasB, onSave } = props;
  const figure = spectrumFigure(detail, hasB, texts);
  if (figure.series.length > 0)
    return html`<section>
      ${figureHead(texts.spectrum, texts, (format) => onSave(detail, "spectrum", format))}
      <redux-chart .figure=${figure} .theme=${theme}></redux-chart>
      ${detail.spectrumReason === undefined ? nothing : html`<p class="message">${detail.spectrumReason}</p>`}
    </section>`;
  return detail.spectrumReason === undefined ? nothing : missingSpectrum(detail.spectrumReason, texts);
}

function heatMap(
  { layer, hasB, texts, theme, tiles, onSave }: CompareDetailProps,
  detail: ComparisonDetail,
): TemplateResult | typeof nothing {
  if (detail.maximum === undefined) return nothing;
  return heatMapSection({
    title: hasB ? texts.differenceMap : texts.changeMap,
    name: layer.name,
    size: detail,
    maximum: detail.maximum,
    tiles,
    theme,
    texts,
    onSave: (format) => onSave(detail, "heatMap", format),
  });
}
