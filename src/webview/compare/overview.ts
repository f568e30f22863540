import { html, nothing, type TemplateResult } from "lit";
import type { CompareResult } from "../../jobs/comparison/types.ts";
import { lastPart } from "../shared/layer-names.ts";
import type { ChosenCell } from "../shared/map-element.ts";
import { formatCount, formatNumber } from "../shared/numbers.ts";
import { notesSection, numberList } from "../shared/page-frame.ts";
import type { PictureFormat } from "../shared/page-shell.ts";
import { format } from "../shared/page.ts";
import { radioGroup } from "../shared/radio-group.ts";
import { compareMap, shownMeasure, type CompareMeasure } from "./measures.ts";
import type { CompareTexts } from "./protocol.ts";

/** Reasons of layers that are listed; the table has them all. */
const MOST_REASONS = 5;

export interface CompareHeadProps {
  readonly result: CompareResult;
  readonly texts: CompareTexts;
  /** A word for a while. */
  readonly status: string;
  readonly onSwap: () => void;
  readonly onChooseBase: () => void;
}

/** What is compared, and with what it is measured. */
export function headView({ result: { a, b, base }, texts, status, onSwap, onChooseBase }: CompareHeadProps): TemplateResult {
  const hasB = b.length > 0;
  return html`<header class="page-head">
    <div class="page-title">
      <h1>${hasB ? texts.title : texts.stackTitle}</h1>
      <p class="side"><b>A</b> ${a.join(" + ")}</p>
      ${hasB ? html`<p class="side"><b>B</b> ${b.join(" + ")}</p>` : nothing}
    </div>
    <span class="spacer"></span>
    <span class="muted numbers" role="status">${status}</span>
    ${hasB ? html`<button class="link" @click=${onSwap}>${texts.swap}</button>` : nothing}
    <span class="muted">${base === undefined ? texts.noBase : format(texts.base, lastPart(base))}</span>
    <button class="link" @click=${onChooseBase}>${texts.chooseBase}</button>
  </header>`;
}

export interface CompareOverviewProps {
  readonly result: CompareResult;
  readonly texts: CompareTexts;
  readonly measure: CompareMeasure;
  readonly theme: number;
  readonly onMeasure: (measure: CompareMeasure) => void;
  readonly onChoose: (cell: ChosenCell) => void;
  readonly onSave: (format: PictureFormat) => void;
}

/** Where the two differ, and by how much in all. */
export function overview(props: CompareOverviewProps): TemplateResult {
  const { result, texts, measure, onMeasure, onSave } = props;
  const { legend, number, maximum } = shownMeasure(measure, result, texts);
  const measures = [
    ["difference", texts.measureDifference],
    ["cosine", texts.measureCosine],
    ["overlap", texts.measureOverlap],
  ] as const;
  return html`<div class="overview">
    <section class="overview-map" aria-label=${texts.mapTitle}>
      <div class="section-head">
        <h2>${texts.mapTitle}</h2>
        ${result.b.length > 0 ? radioGroup(texts.mapTitle, measures, measure, onMeasure) : nothing}
        <span class="spacer"></span>
        <button class="link" @click=${() => onSave("svg")}>${texts.saveSvg}</button>
        <button class="link" @click=${() => onSave("png")}>${texts.savePng}</button>
      </div>
      <p class="muted">${texts.mapHelp}</p>
      <redux-map
        .components=${compareMap(result, measure)}
        .texts=${texts}
        .legend=${legend}
        .format=${number}
        .maximum=${maximum}
        .theme=${props.theme}
        @choose=${(event: CustomEvent<ChosenCell>) => props.onChoose(event.detail)}
      ></redux-map>
    </section>
    <aside class="overview-side">${facts(result, texts)} ${notes(result, texts)}</aside>
  </div>`;
}

function facts({ totals, b }: CompareResult, texts: CompareTexts): TemplateResult {
  const { layersInA, layersInB, layersInBoth, normA, normB, difference, cosine, ratio } = totals;
  const ofB = (value: string) => (b.length > 0 ? value : undefined);
  return html`<section class="facts" aria-label=${texts.overview}>
    ${numberList([
      [texts.inBoth, ofB(formatCount(layersInBoth))],
      [b.length > 0 ? texts.onlyInA : texts.layers, formatCount(layersInA)],
      [texts.onlyInB, ofB(formatCount(layersInB))],
      [texts.normA, formatNumber(normA)],
      [texts.normB, ofB(formatNumber(normB))],
      [texts.difference, ofB(formatNumber(difference)), texts.aboutDifference],
      [texts.cosine, cosine?.toFixed(4), texts.aboutCosine],
      [texts.ratio, cosine === undefined ? undefined : formatNumber(ratio)],
    ])}
  </section>`;
}

function notes({ notes: own, layers }: CompareResult, texts: CompareTexts): TemplateResult | typeof nothing {
  const reasons = Array.from(new Set(layers.flatMap(({ reason }) => (reason === undefined ? [] : [reason]))));
  return notesSection([...own, ...reasons.slice(0, MOST_REASONS)], texts);
}
