import { html, nothing, type TemplateResult } from "lit";
import type { OpenDetail } from "./detail-loader.ts";
import type { TileSource } from "./heat-map-tiles.ts";
import type { PictureFormat } from "./page-shell.ts";
import type { DetailTexts } from "./texts.ts";

/** What the frame of a layer's detail is given. */
export interface DetailFrame<Detail> {
  readonly name: string;
  /** A line below the name. */
  readonly facts: readonly (string | undefined)[];
  readonly open: OpenDetail<Detail>;
  readonly texts: DetailTexts;
  readonly onClose: () => void;
  readonly onCopy: (detail: Detail, format: "csv" | "json") => void;
  readonly content: (detail: Detail) => TemplateResult;
}

/** One layer beside the table: its name and facts, and what there is of its detail. Escape closes it. */
export function detailFrame<Detail>({ name, facts, open, texts, onClose, onCopy, content }: DetailFrame<Detail>): TemplateResult {
  const { detail, error } = open;
  return html`<aside class="detail" aria-label=${texts.detailOf} @keydown=${(event: KeyboardEvent) => event.key === "Escape" && onClose()}>
    <div class="detail-head">
      <h2 tabindex="-1">${name}</h2>
      <button class="icon-button" title=${texts.close} aria-label=${texts.close} @click=${onClose}>✕</button>
    </div>
    <div class="section-head">
      <p class="muted">${facts.filter((fact) => fact !== undefined).join(" · ")}</p>
      <span class="spacer"></span>
      ${
        detail === undefined
          ? nothing
          : html`<button class="link" @click=${() => onCopy(detail, "csv")}>${texts.copyCsv}</button>
              <button class="link" @click=${() => onCopy(detail, "json")}>${texts.copyJson}</button>`
      }
    </div>
    ${error === undefined ? nothing : html`<p class="message error" role="alert">${error}</p>`}
    ${detail !== undefined ? content(detail) : error === undefined ? html`<p class="message" role="status">${texts.reading}</p>` : nothing}
  </aside>`;
}

/** The title of a figure, and the buttons that save it. */
export function figureHead(
  title: string,
  texts: DetailTexts,
  onSave: (format: PictureFormat) => void,
  more: TemplateResult | typeof nothing = nothing,
): TemplateResult {
  return html`<div class="section-head">
    <h3>${title}</h3>
    ${more}<span class="spacer"></span>
    <button class="link" @click=${() => onSave("svg")}>${texts.saveSvg}</button>
    <button class="link" @click=${() => onSave("png")}>${texts.savePng}</button>
  </div>`;
}

/** Why something of a layer is not shown. */
export function warning(reason: string | undefined): TemplateResult | typeof nothing {
  return reason === undefined ? nothing : html`<p class="message warning" role="status">${reason}</p>`;
}

/** In place of a spectrum: why there is none. */
export function missingSpectrum(reason: string, texts: DetailTexts): TemplateResult {
  return html`<section>
    <h3>${texts.spectrum}</h3>
    <p class="message">${reason}</p>
  </section>`;
}

export interface HeatMapSection {
  readonly title: string;
  readonly name: string;
  readonly size: { readonly rows: number; readonly columns: number };
  /** The largest magnitude. */
  readonly maximum: number;
  readonly tiles: TileSource;
  readonly theme: number;
  readonly texts: DetailTexts;
  readonly onSave: (format: PictureFormat) => void;
}

/** A matrix as a picture. */
export function heatMapSection({ title, name, size, maximum, tiles, theme, texts, onSave }: HeatMapSection): TemplateResult {
  return html`<section>
    ${figureHead(title, texts, onSave)}
    <redux-heat-map
      .rows=${size.rows}
      .columns=${size.columns}
      .maximum=${maximum}
      .source=${tiles}
      .texts=${texts}
      .theme=${theme}
      .label=${name}
    ></redux-heat-map>
  </section>`;
}
