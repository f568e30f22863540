import { html, type PropertyValues, type TemplateResult } from "lit";
import { classMap } from "lit/directives/class-map.js";
import { setStyles } from "./set-styles.ts";
import { cellId, GridRows, type GridRow } from "./grid-rows.ts";
import { SizedElement } from "./sized-element.ts";
import { nextSort, type Column, type Sort } from "./table-model.ts";

export type { GridRow };

const ROW_HEIGHT = 24;
/** Rows drawn above and below what is seen, so that what scrolls by a step shows no gaps; even, see `#visible`. */
const OVERSCAN = 4;
const NAME_WIDTH = 320;

/**
 * A table of any number of rows, of which only those that are seen are in the document. To assistive technology it is a grid with all
 * its rows; the keys are those of the ARIA authoring practices: arrows, Home, End (with Ctrl: of the grid), Page Up, Page Down, Enter.
 * Fires "sort" and "open", with a Sort or undefined and a row's index.
 */
export class GridElement extends SizedElement {
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
  #rows: GridRows | undefined;

  constructor() {
    super();
    this.columns = [];
    this.rows = [];
    this.label = "";
  }

  protected override resized(): void {
    this.#scrolled();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
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
    const { row, column } = this.#clamped();
    const layout = {
      gridTemplateColumns: this.columns.map(({ width }) => (width === undefined ? `minmax(${NAME_WIDTH}px, 1fr)` : `${width}px`)).join(" "),
      minWidth: `${this.columns.reduce((sum, each) => sum + (each.width ?? NAME_WIDTH), 0)}px`,
    };
    return html`<div
      class="grid-viewport"
      role="grid"
      tabindex="0"
      aria-label=${this.label}
      aria-rowcount=${this.rows.length + 1}
      aria-colcount=${this.columns.length}
      aria-activedescendant=${cellId(row, column)}
      @scroll=${this.#scrolled}
      @keydown=${this.#keyDown}
    >
      <div class="grid-header" role="row" aria-rowindex="1" style=${setStyles(layout)}>
        ${this.columns.map((each, index) => this.#headerCell(each, index))}
      </div>
      <div class="grid-body" style=${setStyles({ ...layout, height: `${this.rows.length * ROW_HEIGHT}px` })}>
        <div class="grid-rows" role="rowgroup" @click=${this.#click}></div>
      </div>
    </div>`;
  }

  protected override firstUpdated(): void {
    this.#rows = new GridRows(this.querySelector<HTMLElement>(".grid-rows")!, ROW_HEIGHT);
  }

  protected override updated(changed: PropertyValues): void {
    super.updated(changed);
    this.#showRows();
  }

  #headerCell(column: Column<GridRow>, index: number): TemplateResult {
    const { row, column: active } = this.#clamped();
    const isSorted = this.sort?.column === column.id;
    const direction = isSorted ? (this.sort!.descending ? "descending" : "ascending") : "none";
    const mark = isSorted ? (this.sort!.descending ? "▾" : "▴") : "";
    return html`<div
      id=${cellId(-1, index)}
      class=${classMap({ "grid-cell": true, number: column.isNumeric, active: row === -1 && active === index })}
      role="columnheader"
      aria-sort=${direction}
      title=${column.about ?? column.title}
      @click=${() => this.#sortBy(index)}
    >
      <span class="grid-title">${column.title}</span><span class="grid-sort" aria-hidden="true">${mark}</span>
    </div>`;
  }

  #showRows(): void {
    const { columns, rows, selected } = this;
    this.#rows?.show({ columns, rows, selected, active: this.#clamped(), ...this.#visible() });
  }

  /** Rows [first, last) that are seen, and some around them. The first is even, so that a row's element keeps its stripe. */
  #visible(): { readonly first: number; readonly last: number } {
    const { scrollTop = 0, clientHeight = 0 } = this.#viewport ?? {};
    const top = Math.floor(scrollTop / ROW_HEIGHT);
    const first = Math.max(0, top - (top % 2) - OVERSCAN);
    return { first, last: Math.min(this.rows.length, Math.ceil((scrollTop + clientHeight) / ROW_HEIGHT) + OVERSCAN) };
  }

  #clamped(): { readonly row: number; readonly column: number } {
    return {
      row: Math.max(-1, Math.min(this.rows.length - 1, this.#active.row)),
      column: Math.max(0, Math.min(this.columns.length - 1, this.#active.column)),
    };
  }

  readonly #scrolled = (): void => {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => {
      const viewport = this.#viewport;
      // Names that stay in place are costly, and where nothing is scrolled sideways they do so anyway.
      viewport?.classList.toggle("sideways", viewport.scrollLeft > 0);
      this.#showRows();
    });
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

  readonly #click = (event: MouseEvent): void => {
    const place = this.#rows!.placeOf(event.target);
    if (!place) return;
    this.#activate(place.row, place.column);
    this.#open(place.row);
  };

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

customElements.define("redux-grid", GridElement);
