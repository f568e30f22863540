import { html, nothing, type TemplateResult } from "lit";
import { createRef, ref } from "lit/directives/ref.js";
import type { GridElement, GridRow } from "./grid-element.ts";
import { formatCount } from "./numbers.ts";
import { format } from "./page.ts";
import type { PageShell } from "./page-shell.ts";
import { filterRows, sortRows, toCsv, toJson, type Column, type Sort } from "./table-model.ts";
import type { GridTexts } from "./texts.ts";

/** Rows that a viewport shows at most, about. */
const SEEN_ROWS = 60;

/** What a table of layers has kept of it. */
export interface TableState {
  readonly filter: string;
  readonly sort?: Sort | undefined;
  readonly scrollRow: number;
}

export interface TableContent {
  readonly columns: readonly Column<GridRow>[];
  /** Every row, in the file's order. */
  readonly rows: readonly GridRow[];
  readonly label: string;
  /** Index of the row whose detail is open. */
  readonly selected: number | undefined;
  /** Beside the table: the detail. */
  readonly detail: TemplateResult | typeof nothing;
}

/** The layers of a file or a comparison as a table that is filtered, sorted and copied. */
export class LayerTable {
  readonly #shell: PageShell<TableState>;
  readonly #texts: GridTexts;
  readonly #onOpen: (index: number) => void;
  readonly #grid = createRef<GridElement>();

  constructor(shell: PageShell<TableState>, texts: GridTexts, onOpen: (index: number) => void) {
    this.#shell = shell;
    this.#texts = texts;
    this.#onOpen = onOpen;
  }

  /** The rows that are seen, about, in their order. */
  seen({ columns, rows }: Pick<TableContent, "columns" | "rows">): readonly GridRow[] {
    const { scrollRow } = this.#shell.state;
    return this.#shown(rows, columns).slice(scrollRow, scrollRow + SEEN_ROWS);
  }

  /** Scrolls to a row once the table is there. */
  reveal(index: number): void {
    requestAnimationFrame(() => requestAnimationFrame(() => this.#grid.value?.reveal(index)));
  }

  /** Scrolls to where the page was before it was loaded again. */
  restoreScroll(): void {
    requestAnimationFrame(() =>
      requestAnimationFrame(() => this.#grid.value && (this.#grid.value.scrollRow = this.#shell.state.scrollRow)),
    );
  }

  focus(): void {
    this.#grid.value?.querySelector<HTMLElement>(".grid-viewport")?.focus();
  }

  view({ columns, rows, label, selected, detail }: TableContent): TemplateResult {
    const [texts, shell] = [this.#texts, this.#shell];
    const shown = this.#shown(rows, columns);
    return html`<div class="layers ${detail === nothing ? "" : "with-detail"}">
      <div class="table">
        <div class="section-head table-head">
          <input
            class="filter"
            type="search"
            placeholder=${texts.filter}
            aria-label=${texts.filter}
            title=${texts.filterHelp}
            .value=${shell.state.filter}
            @input=${(event: Event) => shell.set({ filter: (event.target as HTMLInputElement).value })}
          />
          <span class="muted numbers" role="status">${format(texts.shown, formatCount(shown.length), formatCount(rows.length))}</span>
          <span class="spacer"></span>
          <button class="link" @click=${() => void shell.copy(toCsv(shown, columns))}>${texts.copyCsv}</button>
          <button class="link" @click=${() => void shell.copy(toJson(shown, columns))}>${texts.copyJson}</button>
        </div>
        <redux-grid
          ${ref(this.#grid)}
          .columns=${columns}
          .rows=${shown}
          .sort=${shell.state.sort}
          .selected=${selected}
          .label=${label}
          @sort=${(event: CustomEvent<Sort | undefined>) => shell.set({ sort: event.detail })}
          @open=${(event: CustomEvent<number>) => this.#onOpen(event.detail)}
          @scroll=${{ handleEvent: () => this.#keepScroll(), capture: true, passive: true }}
        ></redux-grid>
        ${shown.length === 0 ? html`<p class="empty">${texts.nothingFits}</p>` : nothing}
      </div>
      ${detail}
    </div>`;
  }

  #shown(rows: readonly GridRow[], columns: readonly Column<GridRow>[]): readonly GridRow[] {
    const { filter, sort } = this.#shell.state;
    return sortRows(filterRows(rows, columns, filter), columns, sort);
  }

  /** The grid draws itself. */
  #keepScroll(): void {
    this.#shell.keep({ scrollRow: this.#grid.value?.scrollRow ?? 0 });
  }
}
