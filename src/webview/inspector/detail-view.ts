import { html, nothing, type TemplateResult } from "lit";
import type { LayerDescription, LayerDetail, VectorNorm } from "../../jobs/inspection/types.ts";
import { detailFrame, figureHead, heatMapSection, missingSpectrum, warning } from "../shared/detail-frame.ts";
import type { OpenDetail } from "../shared/detail-loader.ts";
import type { TileSource } from "../shared/heat-map-tiles.ts";
import { formatNumber, formatShare } from "../shared/numbers.ts";
import { numberList } from "../shared/page-frame.ts";
import type { PictureFormat } from "../shared/page-shell.ts";
import { histogramFigure, spectrumFigure } from "./detail-figures.ts";
import type { InspectorTexts } from "./protocol.ts";

export type FigureName = "histogram" | "spectrum" | "heatMap";

export interface DetailProps {
  readonly layer: LayerDescription;
  readonly open: OpenDetail<LayerDetail>;
  readonly isLog: boolean;
  readonly texts: InspectorTexts;
  readonly theme: number;
  readonly tiles: TileSource;
  readonly onLog: (isLog: boolean) => void;
  readonly onClose: () => void;
  readonly onCopy: (detail: LayerDetail, format: "csv" | "json") => void;
  readonly onSave: (detail: LayerDetail, figure: FigureName, format: PictureFormat) => void;
}

/** One layer: its numbers, how its values are spread, its singular values, the change as a picture, its largest rows and columns. */
export function detailView(props: DetailProps): TemplateResult {
  const { layer, open, texts, onClose, onCopy } = props;
  const content = (detail: LayerDetail) =>
    html`${numbers(detail, texts)} ${detail.histogram ? histogramSection(props, detail) : nothing} ${spectrumSection(props, detail)}
    ${detail.histogram ? heatMap(props, detail) : nothing} ${detail.topRows ? largest(detail, texts) : nothing}`;
  return detailFrame({
    name: layer.name,
    facts: [layer.kind, layer.shape?.join(" × "), layer.dtype],
    open,
    texts,
    onClose,
    onCopy,
    content,
  });
}

function numbers({ statistics }: LayerDetail, texts: InspectorTexts): TemplateResult {
  const known = (value: number | undefined, show: (value: number) => string = formatNumber) =>
    value === undefined ? undefined : show(value);
  const { norm, relativeNorm, spectralNorm, rank, effectiveRank, alpha, maximum, mean, sparsity, reason } = statistics;
  return html`${warning(reason)}
  ${numberList(
    [
      [texts.columnNorm, known(norm), texts.aboutNorm],
      [texts.columnRelative, known(relativeNorm, formatShare), texts.aboutRelative],
      [texts.columnSpectral, known(spectralNorm), texts.aboutSpectral],
      [texts.columnRank, known(rank, String)],
      [texts.columnEffectiveRank, known(effectiveRank), texts.aboutEffectiveRank],
      [texts.columnAlpha, known(alpha, String)],
      [texts.columnMaximum, known(maximum), texts.aboutMaximum],
      [texts.columnMean, known(mean), texts.aboutMean],
      [texts.columnSparsity, known(sparsity, formatShare), texts.aboutSparsity],
    ],
    "detail-numbers",
  )}`;
}

function histogramSection(props: DetailProps, detail: LayerDetail): TemplateResult {
  const { texts, isLog, onLog, onSave } = props;
  const change = (event: Event) => onLog((event.target as HTMLInputElement).checked);
  const log = html`<label class="check"><input type="checkbox" .checked=${isLog} @change=${change} />${texts.logScale}</label>`;
  return html`<section>
    ${figureHead(texts.histogram, texts, (format) => onSave(detail, "histogram", format), log)}
    <redux-chart .figure=${histogramFigure(detail, isLog, texts)} .theme=${props.theme}></redux-chart>
  </section>`;
}

function spectrumSection(props: DetailProps, detail: LayerDetail): TemplateResult | typeof nothing {
  const { texts, theme, onSave } = props;
  if (detail.spectrumReason !== undefined) return missingSpectrum(detail.spectrumReason, texts);
  if (!detail.singularValues) return nothing;
  return html`<section>
    ${figureHead(texts.spectrum, texts, (format) => onSave(detail, "spectrum", format))}
    <redux-chart .figure=${spectrumFigure(detail, texts)} .theme=${theme}></redux-chart>
  </section>`;
}

function heatMap({ layer, texts, theme, tiles, onSave }: DetailProps, detail: LayerDetail): TemplateResult {
  const { statistics } = detail;
  return heatMapSection({
    title: texts.heatMap,
    name: layer.name,
    size: detail,
    maximum: statistics.maximum ?? 0,
    tiles,
    theme,
    texts,
    onSave: (format) => onSave(detail, "heatMap", format),
  });
}

function largest({ topRows = [], topColumns = [] }: LayerDetail, texts: InspectorTexts): TemplateResult {
  const table = (title: string, norms: readonly VectorNorm[]) =>
    html`<table class="top">
      <caption>
        ${title}
      </caption>
      <thead>
        <tr>
          <th scope="col" class="number">${texts.index}</th>
          <th scope="col" class="number">${texts.norm}</th>
        </tr>
      </thead>
      <tbody>
        ${norms.map(
          ({ index, norm }) =>
            html`<tr>
              <td class="number">${index}</td>
              <td class="number">${formatNumber(norm)}</td>
            </tr>`,
        )}
      </tbody>
    </table>`;
  return html`<section class="tops">${table(texts.topRows, topRows)} ${table(texts.topColumns, topColumns)}</section>`;
}
