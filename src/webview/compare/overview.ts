import { html, nothing, type TemplateResult } from "lit";
import type { CompareResult } from "../../jobs/comparison/types.ts";
import { lastPart } from "../shared/layer-names.ts";
import { type MapSection, mapSection } from "../shared/map-section.ts";
import { formatCount, formatNumber } from "../shared/numbers.ts";
import { notesSection, numberList } from "../shared/page-frame.ts";
import { format } from "../shared/page.ts";
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

export interface CompareOverviewProps extends Pick<MapSection<CompareMeasure>, "measure" | "theme" | "onMeasure" | "onChoose" | "onSave"> {
  readonly result: CompareResult;
  readonly texts: CompareTexts;
}

/** Where the two differ, and by how much in all. */
export function overview({ result, texts, measure, ...map }: CompareOverviewProps): TemplateResult {
  const measures = [
    ["difference", texts.measureDifference],
    ["cosine", texts.measureCosine],
    ["overlap", texts.measureOverlap],
  ] as const;
  return html`<div class="overview">
    ${mapSection<CompareMeasure>({
      ...map,
      ...shownMeasure(measure, result, texts),
      texts,
      measure,
      measures: result.b.length > 0 ? measures : [],
      components: compareMap(result, measure),
    })}
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
