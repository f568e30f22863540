import { html, nothing, type TemplateResult } from "lit";
import type { LayerDescription, LayerDetail, VectorNorm } from "../../jobs/inspection/types.ts";
import type { ChartFigure } from "../shared/figure-svg.ts";
import { formatNumber, formatShare } from "../shared/numbers.ts";
import type { TileSource } from "./heat-map.ts";
import type { InspectorTexts } from "./protocol.ts";

export type FigureName = "histogram" | "spectrum" | "heatMap";

export interface DetailProps {
  readonly layer: LayerDescription;
  readonly detail: LayerDetail | undefined;
  readonly error: string | undefined;
  readonly isLog: boolean;
  readonly texts: InspectorTexts;
  readonly theme: number;
  readonly tiles: TileSource;
  readonly onLog: (isLog: boolean) => void;
  readonly onClose: () => void;
  readonly onCopy: (detail: LayerDetail, format: "csv" | "json") => void;
  readonly onSave: (figure: FigureName, kind: "png" | "svg") => void;
}

/** One layer: its numbers, how its values are spread, its singular values, the change as a picture, its largest rows and columns. */
export function detailView(props: DetailProps): TemplateResult {
  const { layer, detail, error, texts } = props;
  return html`<aside
    class="detail"
    aria-label=${texts.detailOf}
    @keydown=${(event: KeyboardEvent) => event.key === "Escape" && props.onClose()}
  >
    <div class="detail-head">
      <h2 tabindex="-1">${layer.name}</h2>
      <button class="icon-button" title=${texts.close} aria-label=${texts.close} @click=${props.onClose}>✕</button>
    </div>
    <div class="section-head">
      <p class="muted">${[layer.kind, layer.shape?.join(" × "), layer.dtype].filter((part) => part !== undefined).join(" · ")}</p>
      <span class="spacer"></span>
      ${
        detail
          ? html`<button class="link" @click=${() => props.onCopy(detail, "csv")}>${texts.copyCsv}</button>
              <button class="link" @click=${() => props.onCopy(detail, "json")}>${texts.copyJson}</button>`
          : nothing
      }
    </div>
    ${error === undefined ? nothing : html`<p class="message error" role="alert">${error}</p>`}
    ${detail ? numbers(detail, texts) : error === undefined ? html`<p class="message" role="status">${texts.reading}</p>` : nothing}
    ${detail?.histogram ? histogramSection(props, detail) : nothing} ${detail ? spectrumSection(props, detail) : nothing}
    ${detail?.histogram ? heatMapSection(props, detail) : nothing} ${detail?.topRows ? largest(detail, texts) : nothing}
  </aside>`;
}

function numbers({ statistics }: LayerDetail, texts: InspectorTexts): TemplateResult {
  const whole = (value: number | undefined) => (value === undefined ? undefined : String(value));
  const entries: (readonly [string, string | undefined, string?])[] = [
    [texts.columnNorm, statistics.norm === undefined ? undefined : formatNumber(statistics.norm), texts.aboutNorm],
    [texts.columnRelative, statistics.relativeNorm === undefined ? undefined : formatShare(statistics.relativeNorm), texts.aboutRelative],
    [texts.columnSpectral, statistics.spectralNorm === undefined ? undefined : formatNumber(statistics.spectralNorm), texts.aboutSpectral],
    [texts.columnRank, whole(statistics.rank)],
    [
      texts.columnEffectiveRank,
      statistics.effectiveRank === undefined ? undefined : formatNumber(statistics.effectiveRank),
      texts.aboutEffectiveRank,
    ],
    [texts.columnAlpha, whole(statistics.alpha)],
    [texts.columnMaximum, statistics.maximum === undefined ? undefined : formatNumber(statistics.maximum), texts.aboutMaximum],
    [texts.columnMean, statistics.mean === undefined ? undefined : formatNumber(statistics.mean), texts.aboutMean],
    [texts.columnSparsity, statistics.sparsity === undefined ? undefined : formatShare(statistics.sparsity), texts.aboutSparsity],
  ];
  return html`${statistics.reason === undefined ? nothing : html`<p class="message warning" role="status">${statistics.reason}</p>`}
    <dl class="detail-numbers">
      ${entries.map(([term, value, about]) =>
        value === undefined
          ? nothing
          : html`<div title=${about ?? term}>
              <dt>${term}</dt>
              <dd class="numbers">${value}</dd>
            </div>`,
      )}
    </dl>`;
}

function head(title: string, figure: FigureName, { texts, onSave }: DetailProps, more: unknown = nothing): TemplateResult {
  return html`<div class="section-head">
    <h3>${title}</h3>
    ${more}<span class="spacer"></span>
    <button class="link" @click=${() => onSave(figure, "svg")}>${texts.saveSvg}</button>
    <button class="link" @click=${() => onSave(figure, "png")}>${texts.savePng}</button>
  </div>`;
}

function histogramSection(props: DetailProps, detail: LayerDetail): TemplateResult {
  const { texts, isLog, onLog } = props;
  const change = (event: Event) => onLog((event.target as HTMLInputElement).checked);
  const log = html`<label class="check"><input type="checkbox" .checked=${isLog} @change=${change} />${texts.logScale}</label>`;
  return html`<section>
    ${head(texts.histogram, "histogram", props, log)}
    <redux-chart .figure=${histogramFigure(detail, isLog, texts)} .theme=${props.theme}></redux-chart>
  </section>`;
}

export function histogramFigure({ histogram }: LayerDetail, isLog: boolean, texts: InspectorTexts): ChartFigure {
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

function spectrumSection(props: DetailProps, detail: LayerDetail): TemplateResult | typeof nothing {
  const { texts, theme } = props;
  if (detail.spectrumReason !== undefined)
    return html`<section>
      <h3>${texts.spectrum}</h3>
      <p class="message">${detail.spectrumReason}</p>
    </section>`;
  if (!detail.singularValues) return nothing;
  return html`<section>
    ${head(texts.spectrum, "spectrum", props)}
    <redux-chart .figure=${spectrumFigure(detail, texts)} .theme=${theme}></redux-chart>
  </section>`;
}

/** The singular values, and what share of ‖Δ‖² the first of them have. */
export function spectrumFigure({ singularValues = [] }: LayerDetail, texts: InspectorTexts): ChartFigure {
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

function heatMapSection(props: DetailProps, detail: LayerDetail): TemplateResult {
  const { texts, theme, tiles, layer } = props;
  return html`<section>
    ${head(texts.heatMap, "heatMap", props)}
    <redux-heat-map
      .rows=${detail.rows}
      .columns=${detail.columns}
      .maximum=${detail.statistics.maximum ?? 0}
      .source=${tiles}
      .texts=${texts}
      .theme=${theme}
      .label=${layer.name}
    ></redux-heat-map>
  </section>`;
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
