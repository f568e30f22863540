import { html, nothing, render, type TemplateResult } from "lit";
import { ref, createRef } from "lit/directives/ref.js";
import type { InspectionHeader, LayerDetail, LayerStatistics } from "../../jobs/inspection/types.ts";
import { figureStyle, pngBytes, svgBytes } from "../shared/figure-file.ts";
import { chartSvg, mapSvg, pictureSvg } from "../shared/figure-svg.ts";
import type { GridElement } from "../shared/grid-element.ts";
import { HostConnection, HostError } from "../shared/host.ts";
import { componentName, type ChosenCell } from "../shared/map-element.ts";
import { formatBytes, formatCount, formatNumber } from "../shared/numbers.ts";
import { format, hostChannel, saveState, savedState } from "../shared/page.ts";
import { filterRows, sortRows, toCsv, toJson, type Sort } from "../shared/table-model.ts";
import { tabBar } from "../shared/tab-bar.ts";
import { layerColumns, type LayerRow } from "./columns.ts";
import { detailView, histogramFigure, spectrumFigure, type FigureName } from "./detail-view.ts";
import type { HeatMapElement } from "./heat-map.ts";
import { metadataView } from "./metadata-view.ts";
import { mapComponents, mapMeasure, overview } from "./overview.ts";
import type { InspectorProtocol, InspectorStart, InspectorTexts } from "./protocol.ts";
import { restoreState, type InspectorState, type Tab } from "./state.ts";
import { StatisticsLoader } from "./statistics-loader.ts";

/** A layer's whole spectrum may take half a minute. */
const DETAIL_TIMEOUT = 180_000;
const STATISTICS_TIMEOUT = 600_000;
/** Checkpoints are read as a whole on demand alone. */
const AUTOMATIC_KINDS: ReadonlySet<InspectionHeader["kind"]> = new Set(["lora", "delta"]);

interface OpenDetail {
  readonly layer: number;
  readonly detail?: LayerDetail;
  readonly error?: string;
}

/** The inspector's page: what is known of the file, and what is shown of it. */
export class InspectorApp {
  readonly #root: HTMLElement;
  readonly #texts: InspectorTexts;
  readonly #start: InspectorStart;
  readonly #host = new HostConnection<InspectorProtocol>(hostChannel);
  readonly #grid = createRef<GridElement>();
  #state: InspectorState = restoreState(savedState());
  #header: InspectionHeader | undefined;
  #error: string | undefined;
  #rows: (LayerStatistics | undefined)[] = [];
  #loader: StatisticsLoader | undefined;
  #failure: string | undefined;
  #detail: OpenDetail | undefined;
  #detailRequest: AbortController | undefined;
  #tiles: ((level: number, x: number, y: number) => ReturnType<InspectorApp["tile"]>) | undefined;
  #isAllMetadataShown = false;
  #status = "";
  #theme = 0;
  #frame = 0;

  constructor(root: HTMLElement, texts: InspectorTexts, start: InspectorStart) {
    this.#root = root;
    this.#texts = texts;
    this.#start = start;
    this.#host.on("changed", () => void this.open());
    new MutationObserver(() => {
      this.#theme++;
      this.#draw();
    }).observe(document.body, { attributeFilter: ["class"] });
  }

  /** Reads the file's header, shows it, and begins with the numbers. */
  async open(): Promise<void> {
    this.#loader?.stop();
    this.#draw();
    try {
      const header = await this.#host.request("open", null);
      this.#error = undefined;
      this.#header = header;
      this.#rows = header.layers.map(() => undefined);
      this.#failure = undefined;
      this.#loader = this.#makeLoader(header);
      if (AUTOMATIC_KINDS.has(header.kind)) this.#loader.start();
      if (this.#state.selected !== undefined && this.#state.selected < header.layers.length) this.#openDetail(this.#state.selected, false);
    } catch (error) {
      this.#header = undefined;
      this.#error = messageOf(error);
    }
    this.#draw();
    const grid = this.#grid.value;
    if (grid) grid.scrollRow = this.#state.scrollRow;
  }

  tile(layer: number, level: number, x: number, y: number): Promise<InspectorProtocol["requests"]["tile"]["result"]> {
    return this.#host.request("tile", { layer, level, x, y }, { timeout: DETAIL_TIMEOUT });
  }

  #makeLoader(header: InspectionHeader): StatisticsLoader {
    return new StatisticsLoader(header.layers.length, {
      ask: (layers, signal) => this.#host.request("statistics", { layers }, { signal, timeout: STATISTICS_TIMEOUT }),
      onRows: (layers, rows) => {
        for (const [place, layer] of layers.entries()) this.#rows[layer] = rows[place];
        this.#draw();
      },
      onEnd: (error) => {
        this.#failure = error === undefined ? undefined : messageOf(error);
        this.#draw();
      },
    });
  }

  #set(change: Partial<InspectorState>): void {
    this.#state = { ...this.#state, ...change };
    saveState(this.#state);
    this.#draw();
  }

  #draw(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => render(this.#page(), this.#root));
  }

  #page(): TemplateResult {
    const header = this.#header;
    if (this.#error !== undefined) return this.#errorPage(this.#error);
    if (!header)
      return html`<main class="center"><p class="message" role="status">${format(this.#texts.opening, this.#start.fileName)}</p></main>`;
    const tabs: readonly (readonly [Tab, string])[] = [
      ["overview", this.#texts.overview],
      ["layers", isAdapter(header) ? this.#texts.layers : this.#texts.tensors],
      ["metadata", this.#texts.metadata],
    ];
    return html`${this.#head(header)} ${tabBar(tabs, this.#state.tab, (tab) => this.#set({ tab }))}
      <main
        id="panel"
        role="tabpanel"
        aria-labelledby="tab-${this.#state.tab}"
        class="panel-${this.#state.tab}"
        tabindex=${this.#state.tab === "layers" ? nothing : 0}
      >
        ${this.#panel(header)}
      </main>`;
  }

  #errorPage(error: string): TemplateResult {
    return html`<main class="center">
      <div class="empty-state" role="alert">
        <h1>${format(this.#texts.failed, this.#start.fileName)}</h1>
        <p>${error}</p>
        <button class="primary" @click=${() => void this.open()}>${this.#texts.tryAgain}</button>
      </div>
    </main>`;
  }

  #head(header: InspectionHeader): TemplateResult {
    const { texts, base } = { texts: this.#texts, base: header.base };
    const kinds = { lora: texts.kindLora, delta: texts.kindDelta, checkpoint: texts.kindCheckpoint, safetensors: texts.kindSafetensors };
    const facts = [kinds[header.kind], header.architectureLabel, formatBytes(header.bytes)].filter((fact) => fact !== undefined);
    return html`<header class="page-head">
      <div class="page-title">
        <h1>${this.#start.fileName}</h1>
        <p class="muted">${facts.join(" · ")}</p>
      </div>
      <span class="spacer"></span>
      ${
        isAdapter(header)
          ? html`<div class="base">
              <span class="muted">${base ? format(texts.base, base.name.replace(/^.*[/\\]/, "")) : texts.noBase}</span>
              <button class="link" @click=${() => void this.#chooseBase()}>${texts.chooseBase}</button>
            </div>`
          : nothing
      }
      ${this.#progress(header)}
    </header>`;
  }

  #progress(header: InspectionHeader): TemplateResult {
    const texts = this.#texts;
    const { missing = 0, isRunning = false } = this.#loader ?? {};
    const [total, done] = [header.layers.length, header.layers.length - missing];
    const button = (label: string, act: () => void) => html`<button class="link" @click=${act}>${label}</button>`;
    const resume = (label: string) =>
      button(label, () => {
        this.#loader?.start();
        this.#draw();
      });
    const stop = () => {
      this.#loader?.stop();
      this.#draw();
    };
    return html`<div class="progress">
      ${isRunning ? html`<progress max=${total} value=${done} aria-label=${texts.computed}></progress>` : nothing}
      <span class="numbers ${this.#failure === undefined ? "muted" : "error"}" role="status">
        ${this.#status !== "" ? this.#status : (this.#failure ?? (missing === 0 ? nothing : isRunning ? format(texts.computing, done, total) : done > 0 ? format(texts.stopped, done, total) : nothing))}
      </span>
      ${missing === 0 ? nothing : isRunning ? button(texts.stop, stop) : resume(done > 0 ? texts.resume : format(texts.compute, formatBytes(header.bytes)))}
    </div>`;
  }

  #panel(header: InspectionHeader): TemplateResult {
    const texts = this.#texts;
    if (this.#state.tab === "metadata") {
      const onShowAll = () => {
        this.#isAllMetadataShown = true;
        this.#draw();
      };
      return metadataView({ metadata: header.metadata, texts, isAllShown: this.#isAllMetadataShown, onShowAll });
    }
    if (this.#state.tab === "layers") return this.#layers(header);
    return overview({
      ...this.#overviewProps(header),
      theme: this.#theme,
      onMeasure: (measure) => this.#set({ measure }),
      onChoose: (cell) => this.#showCell(cell),
      onOpen: (layer) => {
        this.#set({ tab: "layers" });
        this.#openDetail(layer, true);
      },
      onSave: (kind) => void this.#saveMap(header, kind),
    });
  }

  #overviewProps(header: InspectionHeader) {
    return { header, rows: this.#rows, measure: this.#state.measure, texts: this.#texts };
  }

  #columns(header: InspectionHeader) {
    return layerColumns(this.#texts, { isAdapter: isAdapter(header), hasBase: header.base?.path !== undefined });
  }

  #shownRows(header: InspectionHeader): readonly LayerRow[] {
    const rows = header.layers.map((layer, index): LayerRow => ({ index, layer, statistics: this.#rows[index] }));
    const columns = this.#columns(header);
    return sortRows(filterRows(rows, columns, this.#state.filter), columns, this.#state.sort);
  }

  #layers(header: InspectionHeader): TemplateResult {
    const texts = this.#texts;
    const [columns, rows] = [this.#columns(header), this.#shownRows(header)];
    this.#loader?.prefer(rows.slice(this.#state.scrollRow, this.#state.scrollRow + 60).map(({ index }) => index));
    const open = this.#detail;
    return html`<div class="layers ${open ? "with-detail" : ""}">
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
          <span class="muted numbers" role="status"
            >${format(texts.shown, formatCount(rows.length), formatCount(header.layers.length))}</span
          >
          <span class="spacer"></span>
          <button class="link" @click=${() => void this.#copy(toCsv(rows, columns))}>${texts.copyCsv}</button>
          <button class="link" @click=${() => void this.#copy(toJson(rows, columns))}>${texts.copyJson}</button>
        </div>
        <redux-grid
          ${ref(this.#grid)}
          .columns=${columns}
          .rows=${rows}
          .sort=${this.#state.sort}
          .selected=${open?.layer}
          .label=${isAdapter(header) ? texts.layers : texts.tensors}
          @sort=${(event: CustomEvent<Sort | undefined>) => this.#set({ sort: event.detail })}
          @open=${(event: CustomEvent<number>) => this.#openDetail(event.detail, false)}
          @scroll=${{ handleEvent: () => this.#keepScroll(), capture: true, passive: true }}
        ></redux-grid>
        ${rows.length === 0 ? html`<p class="empty">${texts.nothingFits}</p>` : nothing}
      </div>
      ${open ? this.#detailPane(header, open) : nothing}
    </div>`;
  }

  #detailPane(header: InspectionHeader, { layer, detail, error }: OpenDetail): TemplateResult {
    return detailView({
      layer: header.layers[layer]!,
      detail,
      error,
      isLog: this.#state.isLog,
      texts: this.#texts,
      theme: this.#theme,
      tiles: this.#tiles!,
      onLog: (isLog) => this.#set({ isLog }),
      onClose: () => this.#closeDetail(),
      onCopy: (shown, kind) => void this.#copy(kind === "json" ? JSON.stringify(shown, undefined, 2) : detailCsv(shown)),
      onSave: (figure, kind) => void this.#saveFigure(header.layers[layer]!.name, figure, kind),
    });
  }

  /** The scroll position is kept without drawing: the grid draws itself. */
  #keepScroll(): void {
    const scrollRow = this.#grid.value?.scrollRow ?? 0;
    this.#state = { ...this.#state, scrollRow };
    saveState(this.#state);
  }

  #openDetail(layer: number, isRevealed: boolean): void {
    this.#detailRequest?.abort();
    const request = new AbortController();
    this.#detailRequest = request;
    this.#detail = { layer };
    this.#tiles = (level, x, y) => this.tile(layer, level, x, y);
    this.#set({ selected: layer });
    if (isRevealed) requestAnimationFrame(() => requestAnimationFrame(() => this.#grid.value?.reveal(layer)));
    this.#host.request("detail", { layer }, { signal: request.signal, timeout: DETAIL_TIMEOUT }).then(
      (detail) => {
        this.#detail = { layer, detail };
        this.#rows[layer] = detail.statistics;
        this.#draw();
      },
      (error: unknown) => {
        if (request.signal.aborted) return;
        this.#detail = { layer, error: messageOf(error) };
        this.#draw();
      },
    );
  }

  #closeDetail(): void {
    this.#detailRequest?.abort();
    this.#detail = undefined;
    this.#set({ selected: undefined });
    this.#grid.value?.querySelector<HTMLElement>(".grid-viewport")?.focus();
  }

  /** The layers of a square of the map, in the table. */
  #showCell({ layers }: ChosenCell): void {
    const names = layers.map((layer) => this.#header!.layers[layer]!.name);
    this.#set({ tab: "layers", filter: commonPart(names) });
    const [only] = layers;
    if (layers.length === 1 && only !== undefined) this.#openDetail(only, true);
  }

  async #chooseBase(): Promise<void> {
    await this.#try(async () => {
      // The person takes the time they need.
      if (await this.#host.request("chooseBase", null, { timeout: 3_600_000 })) await this.open();
    });
  }

  async #copy(text: string): Promise<void> {
    await this.#try(async () => {
      await this.#host.request("copy", { text });
      this.#tell(this.#texts.copied);
    });
  }

  async #saveMap(header: InspectionHeader, kind: "png" | "svg"): Promise<void> {
    const props = this.#overviewProps(header);
    const { legend, number } = mapMeasure(props);
    const names = (component: string) => componentName(component, this.#texts);
    const svg = mapSvg({ title: this.#start.fileName, legend, components: mapComponents(props), names, number }, figureStyle());
    await this.#save("map", svg, kind);
  }

  async #saveFigure(name: string, figure: FigureName, kind: "png" | "svg"): Promise<void> {
    const detail = this.#detail?.detail;
    if (!detail) return;
    const style = figureStyle();
    if (figure === "heatMap") {
      const picture = document.querySelector<HeatMapElement>("redux-heat-map")!.snapshot();
      const maximum = detail.statistics.maximum ?? 0;
      await this.#save(`${name}-heat-map`, pictureSvg(name, `${formatNumber(-maximum)} – ${formatNumber(maximum)}`, picture, style), kind);
      return;
    }
    const chart = figure === "histogram" ? histogramFigure(detail, this.#state.isLog, this.#texts) : spectrumFigure(detail, this.#texts);
    await this.#save(`${name}-${figure}`, chartSvg({ ...chart, title: name }, style, formatNumber), kind);
  }

  async #save(name: string, svg: string, kind: "png" | "svg"): Promise<void> {
    await this.#try(async () => {
      const bytes = kind === "svg" ? svgBytes(svg) : await pngBytes(svg);
      const isSaved = await this.#host.request("save", { name: `${name}.${kind}`, bytes }, { timeout: 3_600_000 });
      if (isSaved) this.#tell(this.#texts.saved);
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

function isAdapter({ kind }: InspectionHeader): boolean {
  return kind === "lora" || kind === "delta";
}

function messageOf(error: unknown): string {
  return error instanceof HostError || error instanceof Error ? error.message : String(error);
}

/** What all names begin with, and end with: the words of a filter that finds them. */
function commonPart(names: readonly string[]): string {
  const [first = "", ...others] = names;
  if (others.length === 0) return first;
  let start = first.length;
  while (others.some((name) => !name.startsWith(first.slice(0, start)))) start--;
  let end = 0;
  while (end < first.length - start && others.every((name) => name.endsWith(first.slice(first.length - end - 1)))) end++;
  const parts = [first.slice(0, start), end === 0 ? "" : first.slice(first.length - end)];
  return parts.filter((part) => part !== "").join(" ");
}

/** The singular values of a detail, its rows and columns, one a line. */
function detailCsv({ singularValues = [], histogram, topRows = [], topColumns = [] }: LayerDetail): string {
  const lines: (readonly (string | number)[])[] = [["what", "index", "value"]];
  for (const [index, value] of singularValues.entries()) lines.push(["singular value", index + 1, value]);
  for (const { index, norm } of topRows) lines.push(["row norm", index, norm]);
  for (const { index, norm } of topColumns) lines.push(["column norm", index, norm]);
  if (histogram) {
    const width = (histogram.to - histogram.from) / histogram.counts.length;
    for (const [index, count] of histogram.counts.entries()) lines.push(["count", histogram.from + (index + 0.5) * width, count]);
  }
  return lines.map((line) => `${line.join(",")}\r\n`).join("");
}
