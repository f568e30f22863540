import type { Column } from "./table-model.ts";

/** A row of any webview; its index in the unsorted list tells it from others. */
export interface GridRow {
  readonly index: number;
}

/** What is to be seen of a grid. */
export interface GridView {
  readonly columns: readonly Column<GridRow>[];
  readonly rows: readonly GridRow[];
  /** Places [first, last) in `rows`. */
  readonly first: number;
  readonly last: number;
  /** The cell that keys move. */
  readonly active: { readonly row: number; readonly column: number };
  /** Index of the row whose detail is open. */
  readonly selected: number | undefined;
}

/** A row's element and what it shows, so that nothing is written that stands there already. */
interface RowElement {
  readonly element: HTMLElement;
  readonly cells: readonly HTMLElement[];
  readonly texts: string[];
  place: number;
  activeColumn: number | undefined;
  isSelected: boolean;
}

/**
 * The rows of a grid that are in the document. Elements are made once and filled again: those that stay in view are moved with their
 * text, those that leave it on one side come back on the other. Lit's own repetition makes new ones for every row that was not there
 * before, which is most of a frame's time where a table is scrolled fast.
 */
export class GridRows {
  readonly #body: HTMLElement;
  readonly #rowHeight: number;
  #columns: readonly Column<GridRow>[] = [];
  /** In the order of the document: of the places from #first on. */
  #elements: RowElement[] = [];
  #first = 0;
  /** The active row while it is out of view, so that it can still be pointed to. */
  #away: RowElement | undefined;

  /** @param body stays empty but for what is put in here */
  constructor(body: HTMLElement, rowHeight: number) {
    this.#body = body;
    this.#rowHeight = rowHeight;
  }

  show(view: GridView): void {
    if (!isSameLayout(view.columns, this.#columns)) this.#clear();
    this.#columns = view.columns;
    this.#rotate(view);
    this.#resize(Math.max(0, view.last - view.first));
    for (const [offset, row] of this.#elements.entries()) this.#fill(row, view.first + offset, view);
    this.#body.style.transform = `translateY(${view.first * this.#rowHeight}px)`;
    this.#showAway(view);
  }

  #clear(): void {
    this.#body.replaceChildren();
    this.#elements = [];
    this.#away = undefined;
  }

  /** Elements whose rows have left the view go to its other end. */
  #rotate({ first }: GridView): void {
    const count = this.#elements.length;
    const step = first - this.#first;
    this.#first = first;
    if (Math.abs(step) >= count) return;
    if (step > 0) {
      const moved = this.#elements.splice(0, step);
      this.#elements.push(...moved);
      this.#body.append(...moved.map(({ element }) => element));
    } else if (step < 0) {
      const moved = this.#elements.splice(step);
      this.#elements.unshift(...moved);
      this.#body.prepend(...moved.map(({ element }) => element));
    }
  }

  #resize(count: number): void {
    for (const { element } of this.#elements.splice(count)) element.remove();
    while (this.#elements.length < count) {
      const row = makeRow(this.#columns);
      this.#elements.push(row);
      this.#body.append(row.element);
    }
  }

  #showAway(view: GridView): void {
    const { row } = view.active;
    if (row < 0 || (row >= view.first && row < view.last) || !view.rows[row]) {
      this.#away?.element.remove();
      return;
    }
    this.#away ??= makeRow(this.#columns);
    this.#away.element.style.top = `${(row - view.first) * this.#rowHeight}px`;
    this.#fill(this.#away, row, view);
    this.#away.element.classList.add("away");
    if (!this.#away.element.isConnected) this.#body.prepend(this.#away.element);
  }

  #fill(target: RowElement, place: number, { rows, active, selected, columns }: GridView): void {
    const row = rows[place]!;
    for (const [index, column] of columns.entries()) {
      const text = column.text(row);
      if (text === target.texts[index]) continue;
      target.texts[index] = text;
      const cell = target.cells[index]!;
      if (column.width !== undefined) {
        cell.firstChild!.nodeValue = text;
        continue;
      }
      cell.firstChild!.firstChild!.nodeValue = text;
      cell.title = String(column.value(row) ?? "");
    }
    const isSelected = row.index === selected;
    if (place !== target.place || isSelected !== target.isSelected) {
      target.element.className = `grid-row${place % 2 === 1 ? " odd" : ""}${isSelected ? " selected" : ""}`;
      target.element.setAttribute("aria-rowindex", String(place + 2));
      target.element.setAttribute("aria-selected", String(isSelected));
    }
    target.isSelected = isSelected;
    this.#activate(target, place, place === active.row ? active.column : undefined);
    target.place = place;
  }

  #activate(target: RowElement, place: number, column: number | undefined): void {
    if (column === target.activeColumn && (column === undefined || place === target.place)) return;
    const before = target.activeColumn === undefined ? undefined : target.cells[target.activeColumn];
    before?.classList.remove("active");
    before?.removeAttribute("id");
    target.activeColumn = column;
    if (column === undefined) return;
    target.cells[column]!.classList.add("active");
    target.cells[column]!.id = cellId(place, column);
  }

  /** The place in the grid's rows, and the column, of what was clicked. */
  placeOf(clicked: EventTarget | null): { readonly row: number; readonly column: number } | undefined {
    if (!(clicked instanceof Element)) return undefined;
    const element = clicked.closest(".grid-row");
    const row = this.#elements.find((each) => each.element === element);
    if (!row) return undefined;
    return { row: row.place, column: Math.max(0, row.cells.indexOf(clicked.closest<HTMLElement>(".grid-cell")!)) };
  }
}

export function cellId(row: number, column: number): string {
  return `cell-${row}-${column}`;
}

function isSameLayout(a: readonly Column<GridRow>[], b: readonly Column<GridRow>[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ id, width, isNumeric }, i) => id === b[i]!.id && width === b[i]!.width && isNumeric === b[i]!.isNumeric)
  );
}

function makeRow(columns: readonly Column<GridRow>[]): RowElement {
  const element = document.createElement("div");
  element.setAttribute("role", "row");
  const cells = columns.map(({ isNumeric, width }) => {
    const cell = document.createElement("div");
    cell.className = isNumeric ? "grid-cell number" : "grid-cell";
    cell.setAttribute("role", "gridcell");
    // Names are cut off at their beginning, which takes another direction than their text has.
    const holder = width === undefined ? cell.appendChild(document.createElement("bdi")) : cell;
    holder.append("");
    return cell;
  });
  element.append(...cells);
  return { element, cells, texts: columns.map(() => ""), place: -1, activeColumn: undefined, isSelected: false };
}
