import { html, LitElement, nothing, type TemplateResult } from "lit";
import { classMap } from "lit/directives/class-map.js";
import type { Column, Sort } from "./table-model.ts";
import { nextSort } from "./table-model.ts";
import { setStyles } from "./set-styles.ts";

const ROW_HEIGHT = 24;
/** Rows drawn above and below what is seen, so that fast scrolling shows no gaps. */
const OVERSCAN = 8;
const NAME_WIDTH = 320;

/** A row of any webview; its index in the unsorted list tells it from others. */
export interface GridRow {
  readonly index: number;
}

/**
 * A table of any number of rows, of which only those that are seen are in the document. To assistive technology it is a grid with all
 * its rows; the keys are those of the ARIA authoring practices: arrows, Home, End (with Ctrl: of the grid), Page Up, Page Down, Enter.
 * Fires "sort" and "open", with a Sort or undefined and a row's index.
 */
export class GridElement extends LitElement {
  static override properties = {
    columns: { attribute: false },
    rows: { attribute: false },
    sort: { attribute: false },
    selected: { attribute: false },
    label: { attribute: false },
  };

  declare columns: readonly Column<GridRow>[];
  declare rows: readonly GridRow[];
  declare sort: Sort | undefined;
  /** Index of the row whose detail is open. */
  declare selected: number | undefined;
  declare label: string;
  /** The cell that keys move; row −1 is the header. */
  #active = { row: 0, column: 0 };
  #frame = 0;
  readonly #resized = new ResizeObserver(() => this.#draw());

  constructor() {
    super();
    this.columns = [];
    this.rows = [];
    this.label = "";
  }

  protected override createRenderRoot(): this {
    return this;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#resized.observe(this);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#resized.disconnect();
    cancelAnimationFrame(this.#frame);
  }

  /** Scrolls a row (by its index in the unsorted list) into view and makes it the active one. */
  reveal(index: number): void {
    const row = this.rows.findIndex((each) => each.index === index);
    if (row >= 0) this.#activate(row, this.#active.column);
  }

  get scrollRow(): number {
    return Math.round((this.#viewport?.scrollTop ?? 0) / ROW_HEIGHT);
  }

  set scrollRow(row: number) {
    void this.updateComplete.then(() => this.#viewport?.scrollTo({ top: row * ROW_HEIGHT }));
  }

  get #viewport(): HTMLElement | null {
    return this.querySelector<HTMLElement>(".grid-viewport");
  }

  override render(): TemplateResult {
    const { first, last } = this.#visible();
    const { row, column } = this.#clamped();
    const visible = this.rows.slice(first, last);
    const width = { minWidth: `${this.columns.reduce((sum, each) => sum + (each.width ?? NAME_WIDTH), 0)}px` };
    return html`<div
      class="grid-viewport"
      role="grid"
      tabindex="0"
      aria-label=${this.label}
      aria-rowcount=${this.rows.length + 1}
      aria-colcount=${this.columns.length}
      aria-activedescendant=${this.#cellId(row, column)}
      @scroll=${this.#draw}
      @keydown=${this.#keyDown}
    >
      <div class="grid-header" role="row" aria-rowindex="1" style=${setStyles(width)}>
        ${this.columns.map((each, index) => this.#headerCell(each, index))}
      </div>
      <div class="grid-body" role="rowgroup" style=${setStyles({ ...width, height: `${this.rows.length * ROW_HEIGHT}px` })}>
        ${row >= 0 && (row < first || row >= last) ? this.#row(this.rows[row], row) : nothing}
        ${visible.map((each, offset) => this.#row(each, first + offset))}
      </div>
    </div>`;
  }

  #headerCell(column: Column<GridRow>, index: number): TemplateResult {
    const isSorted = this.sort?.column === column.id;
    const direction = isSorted ? (this.sort!.descending ? "descending" : "ascending") : "none";
    const mark = isSorted ? (this.sort!.descending ? "▾" : "▴") : "";
    return html`<div
      id=${this.#cellId(-1, index)}
      class=${classMap({ "grid-cell": true, number: column.isNumeric, active: this.#isActive(-1, index) })}
      role="columnheader"
      aria-colindex=${index + 1}
      aria-sort=${direction}
      title=${column.about ?? column.title}
      style=${setStyles(cellStyle(column))}
      @click=${() => this.#sortBy(index)}
    >
      <span class="grid-title">${column.title}</span><span class="grid-sort" aria-hidden="true">${mark}</span>
    </div>`;
  }

  #row(row: GridRow | undefined, place: number): TemplateResult | typeof nothing {
    if (!row) return nothing;
    const isSelected = row.index === this.selected;
    return html`<div
      class=${classMap({ "grid-row": true, selected: isSelected, odd: place % 2 === 1 })}
      role="row"
      aria-rowindex=${place + 2}
      aria-selected=${isSelected}
      style=${setStyles({ transform: `translateY(${place * ROW_HEIGHT}px)` })}
      @click=${(event: MouseEvent) => this.#click(event, place)}
    >
      ${this.columns.map((column, index) => {
        const text = column.text(row);
        return html`<div
          id=${this.#cellId(place, index)}
          class=${classMap({ "grid-cell": true, number: column.isNumeric, active: this.#isActive(place, index) })}
          role="gridcell"
          aria-colindex=${index + 1}
          title=${column.width === undefined ? column.value(row) : nothing}
          style=${setStyles(cellStyle(column))}
        >
          ${column.width === undefined ? html`<bdi>${text}</bdi>` : text}
        </div>`;
      })}
    </div>`;
  }

  /** Rows [first, last) that are seen, and some around them. */
  #visible(): { readonly first: number; readonly last: number } {
    const viewport = this.#viewport;
    const top = viewport?.scrollTop ?? 0;
    const height = viewport?.clientHeight ?? 600;
    const first = Math.max(0, Math.floor(top / ROW_HEIGHT) - OVERSCAN);
    return { first, last: Math.min(this.rows.length, Math.ceil((top + height) / ROW_HEIGHT) + OVERSCAN) };
  }

  #clamped(): { readonly row: number; readonly column: number } {
    return {
      row: Math.max(-1, Math.min(this.rows.length - 1, this.#active.row)),
      column: Math.max(0, Math.min(this.columns.length - 1, this.#active.column)),
    };
  }

  #isActive(row: number, column: number): boolean {
    const active = this.#clamped();
    return active.row === row && active.column === column;
  }

  #cellId(row: number, column: number): string {
    return `cell-${row}-${column}`;
  }

  readonly #draw = (): void => {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.requestUpdate());
  };

  readonly #keyDown = (event: KeyboardEvent): void => {
    const { row, column } = this.#clamped();
    const isAll = event.ctrlKey || event.metaKey;
    const page = Math.max(1, Math.floor((this.#viewport!.clientHeight - ROW_HEIGHT) / ROW_HEIGHT) - 1);
    const [lastRow, lastColumn] = [this.rows.length - 1, this.columns.length - 1];
    const moves: Readonly<Record<string, readonly [number, number]>> = {
      ArrowUp: [row - 1, column],
      ArrowDown: [row + 1, column],
      ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1],
      PageUp: [Math.max(0, row - page), column],
      PageDown: [row + page, column],
      Home: isAll ? [Math.min(0, lastRow), 0] : [row, 0],
      End: isAll ? [lastRow, lastColumn] : [row, lastColumn],
    };
    const move = moves[event.key];
    if (move) this.#activate(...move);
    else if (event.key === "Enter" || event.key === " ") this.#enter(row, column);
    else return;
    event.preventDefault();
  };

  #enter(row: number, column: number): void {
    if (row < 0) this.#sortBy(column);
    else this.#open(row);
  }

  #click(event: MouseEvent, place: number): void {
    const cell = (event.target as HTMLElement).closest("[aria-colindex]");
    this.#activate(place, Number(cell?.getAttribute("aria-colindex") ?? 1) - 1);
    this.#open(place);
  }

  #activate(row: number, column: number): void {
    this.#active = { row, column };
    this.#active = this.#clamped();
    const viewport = this.#viewport;
    if (viewport && this.#active.row >= 0) {
      const top = this.#active.row * ROW_HEIGHT;
      const seen = viewport.clientHeight - ROW_HEIGHT;
      if (top < viewport.scrollTop) viewport.scrollTop = top;
      else if (top + ROW_HEIGHT > viewport.scrollTop + seen) viewport.scrollTop = top + ROW_HEIGHT - seen;
    }
    this.requestUpdate();
    void this.updateComplete.then(() => this.querySelector(".active")?.scrollIntoView({ block: "nearest", inline: "nearest" }));
  }

  #sortBy(column: number): void {
    this.#active = { row: -1, column };
    this.dispatchEvent(new CustomEvent<Sort | undefined>("sort", { detail: nextSort(this.sort, this.columns[column]!) }));
    this.requestUpdate();
  }

  #open(row: number): void {
    this.dispatchEvent(new CustomEvent<number>("open", { detail: this.rows[row]!.index }));
  }
}

function cellStyle({ width }: Column<GridRow>): Readonly<Record<string, string>> {
  return width === undefined ? { flex: `1 0 ${NAME_WIDTH}px`, width: `${NAME_WIDTH}px` } : { flex: `0 0 ${width}px` };
}

customElements.define("redux-grid", GridElement);
