import { html, nothing, render, type TemplateResult } from "lit";
import type { CompareResult } from "../../jobs/comparison/types.ts";
import { figureStyle, pngBytes, svgBytes } from "../shared/figure-file.ts";
import { mapSvg } from "../shared/figure-svg.ts";
import { HostConnection, HostError } from "../shared/host.ts";
import { componentName, type ChosenCell } from "../shared/map-element.ts";
import { formatCount, formatNumber } from "../shared/numbers.ts";
import { format, hostChannel, saveState, savedState } from "../shared/page.ts";
import { radioGroup } from "../shared/radio-group.ts";
import { tabBar } from "../shared/tab-bar.ts";
import { filterRows, sortRows, toCsv, toJson, type Sort } from "../shared/table-model.ts";
import { comparisonColumns, type ComparisonRow } from "./columns.ts";
import { compareMap, shownMeasure, type CompareMeasure } from "./measures.ts";
import type { CompareProtocol, CompareTexts, Comparison } from "./protocol.ts";

/** A comparison of large LoRAs takes a while between two reports. */
const TIMEOUT = 600_000;

/** What the page keeps; the extension makes the tab again from `comparison`. */
export interface CompareState {
  readonly comparison: Comparison;
  readonly tab: "overview" | "layers";
  readonly measure: CompareMeasure;
  readonly filter: string;
  readonly sort?: Sort | undefined;
}

/** The page of a comparison. */
export class CompareApp {
  readonly #root: HTMLElement;
  readonly #texts: CompareTexts;
  readonly #host = new HostConnection<CompareProtocol>(hostChannel);
  #state: CompareState;
  #result: CompareResult | undefined;
  #error: string | undefined;
  #fraction = 0;
  #request: AbortController | undefined;
  #status = "";
  #theme = 0;
  #frame = 0;

  constructor(root: HTMLElement, texts: CompareTexts, comparison: Comparison) {
    this.#root = root;
    this.#texts = texts;
    const saved = savedState() as Partial<CompareState> | undefined;
    this.#state = { tab: "overview", measure: "difference", filter: "", ...saved, comparison };
    saveState(this.#state);
    new MutationObserver(() => {
      this.#theme++;
      this.#draw();
    }).observe(document.body, { attributeFilter: ["class"] });
  }

  async compare(): Promise<void> {
    this.#request?.abort();
    const request = new AbortController();
    this.#request = request;
    [this.#error, this.#result, this.#fraction] = [undefined, undefined, 0];
    this.#draw();
    const onProgress = (fraction: number): void => {
      this.#fraction = fraction;
      this.#draw();
    };
    try {
      this.#result = await this.#host.request("compare", null, { signal: request.signal, timeout: TIMEOUT, onProgress });
    } catch (error) {
      if (this.#request !== request) return;
      this.#error = request.signal.aborted ? this.#texts.stopped : messageOf(error);
    }
    this.#draw();
  }

  #set(change: Partial<CompareState>): void {
    this.#state = { ...this.#state, ...change };
    saveState(this.#state);
    this.#draw();
  }

  #draw(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => render(this.#page(), this.#root));
  }

  #page(): TemplateResult {
    if (this.#error !== undefined) return this.#errorPage(this.#error);
    if (!this.#result) return this.#waiting();
    const tabs = [
      ["overview", this.#texts.overview],
      ["layers", this.#texts.layers],
    ] as const;
    return html`${this.#head(this.#result)} ${tabBar(tabs, this.#state.tab, (tab) => this.#set({ tab }))}
      <main
        id="panel"
        role="tabpanel"
        aria-labelledby="tab-${this.#state.tab}"
        class="panel-${this.#state.tab}"
        tabindex=${this.#state.tab === "layers" ? nothing : 0}
      >
        ${this.#state.tab === "layers" ? this.#layers(this.#result) : this.#overview(this.#result)}
      </main>`;
  }

  #errorPage(error: string): TemplateResult {
    return html`<main class="center">
      <div class="empty-state" role="alert">
        <h1>${this.#texts.failed}</h1>
        <p>${error}</p>
        <button class="primary" @click=${() => void this.compare()}>${this.#texts.tryAgain}</button>
      </div>
    </main>`;
  }

  #waiting(): TemplateResult {
    const percent = Math.round(100 * this.#fraction);
    return html`<main class="center">
      <div class="empty-state">
        <p role="status">${format(this.#texts.comparing, percent)}</p>
        <progress max="1" value=${this.#fraction} aria-label=${this.#texts.title}></progress>
        <button class="link" @click=${() => this.#request?.abort()}>${this.#texts.stop}</button>
      </div>
    </main>`;
  }

  #head({ a, b, base }: CompareResult): TemplateResult {
    const texts = this.#texts;
    const hasB = b.length > 0;
    return html`<header class="page-head">
      <div class="page-title">
        <h1>${hasB ? texts.title : texts.stackTitle}</h1>
        <p class="side"><b>A</b> ${a.join(" + ")}</p>
        ${hasB ? html`<p class="side"><b>B</b> ${b.join(" + ")}</p>` : nothing}
      </div>
      <span class="spacer"></span>
      <span class="muted numbers" role="status">${this.#status}</span>
      ${hasB ? html`<button class="link" @click=${() => void this.#change("swap")}>${texts.swap}</button>` : nothing}
      <span class="muted">${base === undefined ? texts.noBase : format(texts.base, base.replace(/^.*[/\\]/, ""))}</span>
      <button class="link" @click=${() => void this.#change("chooseBase")}>${texts.chooseBase}</button>
    </header>`;
  }

  #overview(result: CompareResult): TemplateResult {
    const texts = this.#texts;
    const hasB = result.b.length > 0;
    const measure = hasB ? this.#state.measure : "difference";
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
          ${hasB ? radioGroup(texts.mapTitle, measures, measure, (each) => this.#set({ measure: each })) : nothing}
          <span class="spacer"></span>
          <button class="link" @click=${() => void this.#saveMap(result, "svg")}>${texts.saveSvg}</button>
          <button class="link" @click=${() => void this.#saveMap(result, "png")}>${texts.savePng}</button>
        </div>
        <p class="muted">${texts.mapHelp}</p>
        <redux-map
          .components=${compareMap(result, measure)}
          .texts=${texts}
          .legend=${legend}
          .format=${number}
          .maximum=${maximum}
          .theme=${this.#theme}
          @choose=${(event: CustomEvent<ChosenCell>) => this.#showCell(event.detail, result)}
        ></redux-map>
      </section>
      <aside class="overview-side">${this.#facts(result)} ${this.#notes(result)}</aside>
    </div>`;
  }

  #facts({ totals, b }: CompareResult): TemplateResult {
    const texts = this.#texts;
    const entry = (term: string, value: string, about = term) =>
      html`<div title=${about}>
        <dt>${term}</dt>
        <dd class="numbers">${value}</dd>
      </div>`;
    const hasB = b.length > 0;
    return html`<section class="facts" aria-label=${texts.overview}>
      <dl>
        ${hasB ? entry(texts.inBoth, formatCount(totals.layersInBoth)) : entry(texts.layers, formatCount(totals.layersInA))}
        ${hasB ? [entry(texts.onlyInA, formatCount(totals.layersInA)), entry(texts.onlyInB, formatCount(totals.layersInB))] : nothing}
        ${entry(texts.normA, formatNumber(totals.normA))}
        ${hasB ? [entry(texts.normB, formatNumber(totals.normB)), entry(texts.difference, formatNumber(totals.difference), texts.aboutDifference)] : nothing}
        ${totals.cosine === undefined ? nothing : [entry(texts.cosine, totals.cosine.toFixed(4), texts.aboutCosine), entry(texts.ratio, formatNumber(totals.ratio))]}
      </dl>
    </section>`;
  }

  #notes({ notes, layers }: CompareResult): TemplateResult | typeof nothing {
    const reasons = Array.from(new Set(layers.flatMap(({ reason }) => (reason === undefined ? [] : [reason]))));
    const all = [...notes, ...reasons.slice(0, 5)];
    if (all.length === 0) return nothing;
    return html`<section aria-label=${this.#texts.notes}>
      <h2>${this.#texts.notes}</h2>
      <ul class="notes">
        ${all.map((note) => html`<li>${note}</li>`)}
      </ul>
    </section>`;
  }

  #layers(result: CompareResult): TemplateResult {
    const texts = this.#texts;
    const columns = comparisonColumns(texts, { hasB: result.b.length > 0, hasBase: result.base !== undefined });
    const all = result.layers.map((layer, index): ComparisonRow => ({ index, layer }));
    const rows = sortRows(filterRows(all, columns, this.#state.filter), columns, this.#state.sort);
    return html`<div class="layers">
      <div class="table">
        <div class="section-head table-head">
          <input
            class="filter"
            type="search"
            placeholder=${texts.filter}
            aria-label=${texts.filter}
            title=${texts.filterHelp}
            .value=${this.#state.filter}
            @input=${(event: Event) => this.#set({ filter: (event.target as HTMLInputElement).value })}
          />
          <span class="muted numbers" role="status">${format(texts.shown, formatCount(rows.length), formatCount(all.length))}</span>
          <span class="spacer"></span>
          <button class="link" @click=${() => void this.#copy(toCsv(rows, columns))}>${texts.copyCsv}</button>
          <button class="link" @click=${() => void this.#copy(toJson(rows, columns))}>${texts.copyJson}</button>
        </div>
        <redux-grid
          .columns=${columns}
          .rows=${rows}
          .sort=${this.#state.sort}
          .label=${texts.layers}
          @sort=${(event: CustomEvent<Sort | undefined>) => this.#set({ sort: event.detail })}
        ></redux-grid>
        ${rows.length === 0 ? html`<p class="empty">${texts.nothingFits}</p>` : nothing}
      </div>
    </div>`;
  }

  #showCell({ component, block, role }: ChosenCell, { layers }: CompareResult): void {
    const names = layers
      .filter((layer) => layer.component === component && layer.block === block && layer.role === role)
      .map(({ name }) => name);
    this.#set({ tab: "layers", filter: names.length === 1 ? names[0]! : commonStart(names) });
  }

  async #change(request: "swap" | "chooseBase"): Promise<void> {
    await this.#try(async () => {
      // The person takes the time they need.
      const comparison = await this.#host.request(request, null, { timeout: 3_600_000 });
      if (!comparison) return;
      this.#set({ comparison });
      await this.compare();
    });
  }

  async #copy(text: string): Promise<void> {
    await this.#try(async () => {
      await this.#host.request("copy", { text });
      this.#tell(this.#texts.copied);
    });
  }

  async #saveMap(result: CompareResult, kind: "png" | "svg"): Promise<void> {
    await this.#try(async () => {
      const measure = result.b.length > 0 ? this.#state.measure : "difference";
      const { legend, number, maximum } = shownMeasure(measure, result, this.#texts);
      const title = [result.a, result.b]
        .filter((side) => side.length > 0)
        .map((side) => side.join(" + "))
        .join(" — ");
      const names = (component: string) => componentName(component, this.#texts);
      const svg = mapSvg({ title, legend, components: compareMap(result, measure), names, number, maximum }, figureStyle());
      const bytes = kind === "svg" ? svgBytes(svg) : await pngBytes(svg);
      if (await this.#host.request("save", { name: `comparison.${kind}`, bytes }, { timeout: 3_600_000 })) this.#tell(this.#texts.saved);
    });
  }

  async #try(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#tell(messageOf(error));
    }
  }

  /** A word in the status line, for a while. */
  #tell(text: string): void {
    this.#status = text;
    this.#draw();
    setTimeout(() => {
      if (this.#status !== text) return;
      this.#status = "";
      this.#draw();
    }, 3_000);
  }
}

function messageOf(error: unknown): string {
  return error instanceof HostError || error instanceof Error ? error.message : String(error);
}

function commonStart([first = "", ...others]: readonly string[]): string {
  let end = first.length;
  while (others.some((name) => !name.startsWith(first.slice(0, end)))) end--;
  return first.slice(0, end);
}
