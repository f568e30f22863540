import { html, nothing, type TemplateResult } from "lit";
import type { CompareResult } from "../../jobs/comparison/types.ts";
import { figureStyle } from "../shared/figure-file.ts";
import { mapSvg } from "../shared/figure-svg.ts";
import { HostConnection, messageOf } from "../shared/host.ts";
import { commonWords } from "../shared/layer-names.ts";
import { LayerTable, type TableState } from "../shared/layer-table.ts";
import { componentName, type ChosenCell } from "../shared/map-element.ts";
import { errorPage, tabbedPage } from "../shared/page-frame.ts";
import { DIALOG_TIMEOUT, PageShell, type PictureFormat } from "../shared/page-shell.ts";
import { format, hostChannel, savedState } from "../shared/page.ts";
import { comparisonColumns, type ComparisonRow } from "./columns.ts";
import { compareMap, shownMeasure, type CompareMeasure } from "./measures.ts";
import { headView, overview } from "./overview.ts";
import type { CompareProtocol, CompareTexts, Comparison } from "./protocol.ts";

/** A comparison of large LoRAs takes a while between two reports. */
const TIMEOUT = 600_000;

/** What the page keeps; the extension makes the tab again from `comparison`. */
export interface CompareState extends TableState {
  readonly comparison: Comparison;
  readonly tab: "overview" | "layers";
  readonly measure: CompareMeasure;
}

const INITIAL = { tab: "overview", measure: "difference", filter: "", scrollRow: 0 } as const;

/** The page of a comparison. */
export class CompareApp {
  readonly #texts: CompareTexts;
  readonly #host = new HostConnection<CompareProtocol>(hostChannel);
  readonly #shell: PageShell<CompareState>;
  readonly #table: LayerTable;
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
    this.#table = new LayerTable(this.#shell, texts, () => {});
  }

  async compare(): Promise<void> {
    this.#request?.abort();
    const request = new AbortController();
    this.#request = request;
    [this.#error, this.#result, this.#fraction] = [undefined, undefined, 0];
    this.#shell.draw();
    const onProgress = (fraction: number): void => {
      this.#fraction = fraction;
      this.#shell.draw();
    };
    try {
      this.#result = await this.#host.request("compare", null, { signal: request.signal, timeout: TIMEOUT, onProgress });
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
    return this.#table.view({ columns, rows, label: this.#texts.layers, selected: undefined, detail: nothing });
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
}
