import { html, nothing, type TemplateResult } from "lit";
import type { CompareResult, ComparisonDetail } from "../../jobs/comparison/types.ts";
import { DetailLoader } from "../shared/detail-loader.ts";
import { figureStyle } from "../shared/figure-file.ts";
import { chartSvg, mapSvg } from "../shared/figure-svg.ts";
import type { HeatMapElement } from "../shared/heat-map-element.ts";
import type { TileSource } from "../shared/heat-map-tiles.ts";
import { HostConnection, messageOf } from "../shared/host.ts";
import { commonWords } from "../shared/layer-names.ts";
import { LayerTable, type TableState } from "../shared/layer-table.ts";
import { componentName, type ChosenCell } from "../shared/map-element.ts";
import { formatNumber } from "../shared/numbers.ts";
import { errorPage, tabbedPage } from "../shared/page-frame.ts";
import { DIALOG_TIMEOUT, PageShell, type PictureFormat } from "../shared/page-shell.ts";
import { format, hostChannel, savedState } from "../shared/page.ts";
import { comparisonColumns, type ComparisonRow } from "./columns.ts";
import { comparisonDetailCsv, spectrumFigure } from "./detail-figures.ts";
import { detailView, type CompareFigure } from "./detail-view.ts";
import { compareMap, shownMeasure, type CompareMeasure } from "./measures.ts";
import { headView, overview } from "./overview.ts";
import type { CompareProtocol, CompareTexts, Comparison } from "./protocol.ts";

/** A comparison of large LoRAs takes a while between two reports. */
const TIMEOUT = 600_000;
/** The spectra of a layer's two sides and of their difference. */
const DETAIL_TIMEOUT = 180_000;

/** What the page keeps; the extension makes the tab again from `comparison`. */
export interface CompareState extends TableState {
  readonly comparison: Comparison;
  readonly tab: "overview" | "layers";
  readonly measure: CompareMeasure;
  /** Name of the layer whose detail is open. */
  readonly selected?: string | undefined;
}

const INITIAL = { tab: "overview", measure: "difference", filter: "", scrollRow: 0 } as const;

/** The page of a comparison. */
export class CompareApp {
  readonly #texts: CompareTexts;
  readonly #host = new HostConnection<CompareProtocol>(hostChannel);
  readonly #shell: PageShell<CompareState>;
  readonly #table: LayerTable;
  readonly #details: DetailLoader<ComparisonDetail>;
  #tiles: TileSource | undefined;
  #result: CompareResult | undefined;
  #error: string | undefined;
  #fraction = 0;
  #request: AbortController | undefined;

  constructor(root: HTMLElement, texts: CompareTexts, comparison: Comparison) {
    this.#texts = texts;
    this.#shell = new PageShell<CompareState>({
      root,
      texts,
      state: { ...INITIAL, ...(savedState() as Partial<CompareState> | undefined), comparison },
      page: () => this.#page(),
      host: {
        copy: (text) => this.#host.request("copy", { text }),
        save: (file) => this.#host.request("save", file, { timeout: DIALOG_TIMEOUT }),
      },
    });
    // The window makes the tab again from this, whether or not anything is done in it.
    this.#shell.keep({ comparison });
    this.#table = new LayerTable(this.#shell, texts, (layer) => this.#openDetail(layer));
    this.#details = new DetailLoader(
      (layer, signal) => this.#host.request("detail", { layer: this.#nameOf(layer) }, { signal, timeout: DETAIL_TIMEOUT }),
      () => this.#shell.draw(),
    );
  }

  async compare(): Promise<void> {
    this.#request?.abort();
    const request = new AbortController();
    this.#request = request;
    [this.#error, this.#result, this.#fraction] = [undefined, undefined, 0];
    this.#details.close();
    this.#shell.draw();
    const onProgress = (fraction: number): void => {
      this.#fraction = fraction;
      this.#shell.draw();
    };
    try {
      const result = await this.#host.request("compare", null, { signal: request.signal, timeout: TIMEOUT, onProgress });
      this.#result = result;
      const selected = result.layers.findIndex(({ name }) => name === this.#shell.state.selected);
      if (selected >= 0) this.#openDetail(selected);
    } catch (error) {
      if (this.#request !== request) return;
      this.#error = request.signal.aborted ? this.#texts.stopped : messageOf(error);
    }
    this.#shell.draw();
    this.#table.restoreScroll();
  }

  #page(): TemplateResult {
    const texts = this.#texts;
    if (this.#error !== undefined) return errorPage(texts.failed, this.#error, texts, () => void this.compare());
    const result = this.#result;
    if (!result) return this.#waiting();
    const { tab } = this.#shell.state;
    return tabbedPage({
      head: headView({
        result,
        texts,
        status: this.#shell.status,
        onSwap: () => void this.#change("swap"),
        onChooseBase: () => void this.#change("chooseBase"),
      }),
      tabs: [
        ["overview", texts.overview],
        ["layers", texts.layers],
      ] as const,
      tab,
      panel: tab === "layers" ? this.#layers(result) : this.#overview(result),
      onTab: (chosen) => this.#shell.set({ tab: chosen }),
    });
  }

  #waiting(): TemplateResult {
    const texts = this.#texts;
    const percent = Math.round(100 * this.#fraction);
    return html`<main class="center">
      <div class="empty-state">
        <p role="status">${format(texts.comparing, percent)}</p>
        <progress max="1" value=${this.#fraction} aria-label=${texts.title}></progress>
        <button class="link" @click=${() => this.#request?.abort()}>${texts.stop}</button>
      </div>
    </main>`;
  }

  #overview(result: CompareResult): TemplateResult {
    return overview({
      result,
      texts: this.#texts,
      measure: this.#measure(result),
      theme: this.#shell.theme,
      onMeasure: (measure) => this.#shell.set({ measure }),
      onChoose: (cell) => this.#showCell(cell, result),
      onSave: (kind) => void this.#saveMap(result, kind),
    });
  }

  /** Of what a stack changes there is nothing but its size. */
  #measure({ b }: CompareResult): CompareMeasure {
    return b.length > 0 ? this.#shell.state.measure : "difference";
  }

  #layers(result: CompareResult): TemplateResult {
    const columns = comparisonColumns(this.#texts, { hasB: result.b.length > 0, hasBase: result.base !== undefined });
    const rows = result.layers.map((layer, index): ComparisonRow => ({ index, layer }));
    const open = this.#details.current;
    const detail = open
      ? detailView({
          layer: result.layers[open.layer]!,
          hasB: result.b.length > 0,
          open,
          texts: this.#texts,
          theme: this.#shell.theme,
          tiles: this.#tiles!,
          onClose: () => this.#closeDetail(),
          onCopy: (shown, kind) =>
            void this.#shell.copy(kind === "json" ? JSON.stringify(shown, undefined, 2) : comparisonDetailCsv(shown)),
          onSave: (shown, figure, kind) => void this.#saveFigure(shown, figure, kind),
        })
      : nothing;
    return this.#table.view({ columns, rows, label: this.#texts.layers, selected: open?.layer, detail });
  }

  #nameOf(layer: number): string {
    return this.#result!.layers[layer]!.name;
  }

  #openDetail(layer: number): void {
    const name = this.#nameOf(layer);
    this.#tiles = (level, x, y) => this.#host.request("tile", { layer: name, level, x, y }, { timeout: DETAIL_TIMEOUT });
    this.#details.open(layer);
    this.#shell.set({ selected: name });
  }

  #closeDetail(): void {
    this.#details.close();
    this.#shell.set({ selected: undefined });
    this.#table.focus();
  }

  /** The layers of a square of the map, in the table. */
  #showCell({ layers: chosen }: ChosenCell, { layers }: CompareResult): void {
    this.#shell.set({ tab: "layers", filter: commonWords(chosen.map((layer) => layers[layer]!.name)) });
  }

  async #change(request: "swap" | "chooseBase"): Promise<void> {
    await this.#shell.attempt(async () => {
      const comparison = await this.#host.request(request, null, { timeout: DIALOG_TIMEOUT });
      if (!comparison) return;
      this.#shell.set({ comparison });
      await this.compare();
    });
  }

  async #saveMap(result: CompareResult, kind: PictureFormat): Promise<void> {
    const measure = this.#measure(result);
    const { legend, number, maximum } = shownMeasure(measure, result, this.#texts);
    const title = [result.a, result.b]
      .filter((side) => side.length > 0)
      .map((side) => side.join(" + "))
      .join(" — ");
    const names = (component: string) => componentName(component, this.#texts);
    const svg = mapSvg({ title, legend, components: compareMap(result, measure), names, number, maximum }, figureStyle());
    await this.#shell.save("comparison", svg, kind);
  }

  async #saveFigure(detail: ComparisonDetail, figure: CompareFigure, kind: PictureFormat): Promise<void> {
    const { name } = detail.comparison;
    if (figure === "heatMap") {
      const picture = document.querySelector<HeatMapElement>("redux-heat-map")!;
      return this.#shell.save(`${name}-difference`, picture.toSvg(name), kind);
    }
    const chart = spectrumFigure(detail, this.#result!.b.length > 0, this.#texts);
    await this.#shell.save(`${name}-spectrum`, chartSvg({ ...chart, title: name }, figureStyle(), formatNumber), kind);
  }
}
