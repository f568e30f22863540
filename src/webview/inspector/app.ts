import { html, nothing, type TemplateResult } from "lit";
import type { InspectionHeader, LayerDetail, LayerStatistics } from "../../jobs/inspection/types.ts";
import { DetailLoader } from "../shared/detail-loader.ts";
import { figureStyle } from "../shared/figure-file.ts";
import { chartSvg, mapSvg } from "../shared/figure-svg.ts";
import type { HeatMapElement } from "../shared/heat-map-element.ts";
import type { TileSource } from "../shared/heat-map-tiles.ts";
import { HostConnection, messageOf } from "../shared/host.ts";
import { commonWords } from "../shared/layer-names.ts";
import { LayerTable } from "../shared/layer-table.ts";
import { componentName, type ChosenCell } from "../shared/map-element.ts";
import { formatNumber } from "../shared/numbers.ts";
import { errorPage, tabbedPage } from "../shared/page-frame.ts";
import { DIALOG_TIMEOUT, PageShell, type PictureFormat } from "../shared/page-shell.ts";
import { format, hostChannel, savedState } from "../shared/page.ts";
import { layerColumns, type LayerRow } from "./columns.ts";
import { detailCsv, histogramFigure, spectrumFigure } from "./detail-figures.ts";
import { detailView, type FigureName } from "./detail-view.ts";
import { headView, isAdapter } from "./head-view.ts";
import { metadataView } from "./metadata-view.ts";
import { mapComponents, mapMeasure, overview } from "./overview.ts";
import type { InspectedFile, InspectorProtocol, InspectorStart, InspectorTexts } from "./protocol.ts";
import { restoreState, type InspectorState, type Tab } from "./state.ts";
import { StatisticsLoader } from "./statistics-loader.ts";
import { trainingMetadata, type TrainingMetadata } from "./training-metadata.ts";

/** A layer's whole spectrum may take half a minute. */
const DETAIL_TIMEOUT = 180_000;
const STATISTICS_TIMEOUT = 600_000;
/** Checkpoints are read as a whole on demand alone. */
const AUTOMATIC_KINDS: ReadonlySet<InspectionHeader["kind"]> = new Set(["lora", "delta"]);

/** A file whose header is known. */
interface OpenedFile extends InspectedFile {
  readonly training: TrainingMetadata;
  /** The numbers of the layers as they come, in the header's order. */
  readonly rows: (LayerStatistics | undefined)[];
  readonly loader: StatisticsLoader;
}

/** The inspector's page: what is known of the file, and what is shown of it. */
export class InspectorApp {
  readonly #texts: InspectorTexts;
  readonly #start: InspectorStart;
  readonly #host = new HostConnection<InspectorProtocol>(hostChannel);
  readonly #shell: PageShell<InspectorState>;
  readonly #table: LayerTable;
  readonly #details: DetailLoader<LayerDetail>;
  #file: OpenedFile | undefined;
  #error: string | undefined;
  #failure: string | undefined;
  #tiles: TileSource | undefined;
  #opening: AbortController | undefined;
  #isAllMetadataShown = false;

  constructor(root: HTMLElement, texts: InspectorTexts, start: InspectorStart) {
    this.#texts = texts;
    this.#start = start;
    this.#shell = new PageShell({
      root,
      texts,
      state: restoreState(savedState()),
      page: () => this.#page(),
      host: {
        copy: (text) => this.#host.request("copy", { text }),
        save: (file) => this.#host.request("save", file, { timeout: DIALOG_TIMEOUT }),
      },
    });
    this.#table = new LayerTable(this.#shell, texts, (layer) => this.#openDetail(layer));
    this.#details = new DetailLoader(
      (layer, signal) => this.#host.request("detail", { layer }, { signal, timeout: DETAIL_TIMEOUT }),
      ({ layer, detail }) => {
        if (detail && this.#file) this.#file.rows[layer] = detail.statistics;
        this.#shell.draw();
      },
    );
    this.#host.on("changed", () => void this.open());
  }

  /** Reads the file's header, shows it, and begins with the numbers. */
  async open(): Promise<void> {
    this.#opening?.abort();
    const opening = new AbortController();
    this.#opening = opening;
    this.#file?.loader.stop();
    this.#shell.draw();
    try {
      this.#show(await this.#host.request("open", null, { signal: opening.signal }));
    } catch (error) {
      // Opened again meanwhile.
      if (opening.signal.aborted) return;
      this.#file = undefined;
      this.#error = messageOf(error);
    }
    this.#shell.draw();
    this.#table.restoreScroll();
  }

  #show(file: InspectedFile): void {
    const { header } = file;
    this.#error = undefined;
    this.#failure = undefined;
    const rows = header.layers.map(() => undefined);
    this.#file = { ...file, training: trainingMetadata(header.metadata), rows, loader: this.#makeLoader(header, rows) };
    if (AUTOMATIC_KINDS.has(header.kind)) this.#file.loader.start();
    const { selected } = this.#shell.state;
    if (selected !== undefined && selected < header.layers.length) this.#openDetail(selected);
    else this.#details.close();
  }

  #makeLoader({ layers }: InspectionHeader, rows: (LayerStatistics | undefined)[]): StatisticsLoader {
    return new StatisticsLoader(layers.length, {
      ask: (indices, signal) => this.#host.request("statistics", { layers: indices }, { signal, timeout: STATISTICS_TIMEOUT }),
      onRows: (indices, found) => {
        for (const [place, layer] of indices.entries()) rows[layer] = found[place];
        this.#shell.draw();
      },
      onEnd: (error) => {
        this.#failure = error === undefined ? undefined : messageOf(error);
        this.#shell.draw();
      },
    });
  }

  #page(): TemplateResult {
    const [texts, { fileName }] = [this.#texts, this.#start];
    if (this.#error !== undefined) return errorPage(format(texts.failed, fileName), this.#error, texts, () => void this.open());
    if (!this.#file) return html`<main class="center"><p class="message" role="status">${format(texts.opening, fileName)}</p></main>`;
    const tabs: readonly (readonly [Tab, string])[] = [
      ["overview", texts.overview],
      ["layers", isAdapter(this.#file.header) ? texts.layers : texts.tensors],
      ["metadata", texts.metadata],
    ];
    const { tab } = this.#shell.state;
    return tabbedPage({
      head: this.#head(this.#file),
      tabs,
      tab,
      panel: tab === "overview" ? this.#overview(this.#file) : tab === "layers" ? this.#layers(this.#file) : this.#metadata(this.#file),
      onTab: (chosen) => this.#shell.set({ tab: chosen }),
    });
  }

  #head({ header, baseReason, loader }: OpenedFile): TemplateResult {
    const act = (work: () => void) => () => {
      work();
      this.#shell.draw();
    };
    return headView({
      header,
      baseReason,
      fileName: this.#start.fileName,
      texts: this.#texts,
      progress: {
        missing: loader.missing,
        isRunning: loader.isRunning,
        failure: this.#failure,
        status: this.#shell.status,
        onStart: act(() => loader.start()),
        onStop: act(() => loader.stop()),
      },
      onChooseBase: () => void this.#chooseBase(),
    });
  }

  #metadata({ header, training }: OpenedFile): TemplateResult {
    const onShowAll = () => {
      this.#isAllMetadataShown = true;
      this.#shell.draw();
    };
    return metadataView({ metadata: header.metadata, training, texts: this.#texts, isAllShown: this.#isAllMetadataShown, onShowAll });
  }

  #overview(file: OpenedFile): TemplateResult {
    return overview({
      ...this.#mapProps(file),
      training: file.training,
      theme: this.#shell.theme,
      onMeasure: (measure) => this.#shell.set({ measure }),
      onChoose: (cell) => this.#showCell(cell, file),
      onOpen: (layer) => this.#showLayer(layer),
      onSave: (kind) => void this.#saveMap(file, kind),
    });
  }

  #mapProps({ header, rows }: OpenedFile) {
    return { header, rows, measure: this.#shell.state.measure, texts: this.#texts };
  }

  #layers({ header, rows: statistics, loader }: OpenedFile): TemplateResult {
    const texts = this.#texts;
    const columns = layerColumns(texts, { isAdapter: isAdapter(header), hasBase: header.base?.path !== undefined });
    const rows = header.layers.map((layer, index): LayerRow => ({ index, layer, statistics: statistics[index] }));
    loader.prefer(this.#table.seen({ columns, rows }).map(({ index }) => index));
    const open = this.#details.current;
    const detail = open
      ? detailView({
          layer: header.layers[open.layer]!,
          open,
          isLog: this.#shell.state.isLog,
          texts,
          theme: this.#shell.theme,
          tiles: this.#tiles!,
          onLog: (isLog) => this.#shell.set({ isLog }),
          onClose: () => this.#closeDetail(),
          onCopy: (shown, kind) => void this.#shell.copy(kind === "json" ? JSON.stringify(shown, undefined, 2) : detailCsv(shown)),
          onSave: (shown, figure, kind) => void this.#saveFigure(shown, figure, kind),
        })
      : nothing;
    return this.#table.view({ columns, rows, label: isAdapter(header) ? texts.layers : texts.tensors, selected: open?.layer, detail });
  }

  #openDetail(layer: number): void {
    this.#tiles = (level, x, y) => this.#host.request("tile", { layer, level, x, y }, { timeout: DETAIL_TIMEOUT });
    this.#details.open(layer);
    this.#shell.set({ selected: layer });
  }

  #closeDetail(): void {
    this.#details.close();
    this.#shell.set({ selected: undefined });
    this.#table.focus();
  }

  /** A layer in the table, and its detail. */
  #showLayer(layer: number): void {
    this.#shell.set({ tab: "layers" });
    this.#openDetail(layer);
    this.#table.reveal(layer);
  }

  /** The layers of a square of the map, in the table. */
  #showCell({ layers }: ChosenCell, { header }: OpenedFile): void {
    this.#shell.set({ filter: commonWords(layers.map((layer) => header.layers[layer]!.name)), tab: "layers" });
    const [only] = layers;
    if (layers.length === 1 && only !== undefined) this.#showLayer(only);
  }

  async #chooseBase(): Promise<void> {
    await this.#shell.attempt(async () => {
      if (await this.#host.request("chooseBase", null, { timeout: DIALOG_TIMEOUT })) await this.open();
    });
  }

  async #saveMap(file: OpenedFile, kind: PictureFormat): Promise<void> {
    const props = this.#mapProps(file);
    const { legend, number } = mapMeasure(props);
    const names = (component: string) => componentName(component, this.#texts);
    const svg = mapSvg({ title: this.#start.fileName, legend, components: mapComponents(props), names, number }, figureStyle());
    await this.#shell.save("map", svg, kind);
  }

  async #saveFigure(detail: LayerDetail, figure: FigureName, kind: PictureFormat): Promise<void> {
    const { name } = detail.statistics;
    if (figure === "heatMap") {
      const picture = document.querySelector<HeatMapElement>("redux-heat-map")!;
      return this.#shell.save(`${name}-heat-map`, picture.toSvg(name), kind);
    }
    const { isLog } = this.#shell.state;
    const chart = figure === "histogram" ? histogramFigure(detail, isLog, this.#texts) : spectrumFigure(detail, this.#texts);
    await this.#shell.save(`${name}-${figure}`, chartSvg({ ...chart, title: name }, figureStyle(), formatNumber), kind);
  }
}
