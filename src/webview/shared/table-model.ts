/** A column: what stands in it, what it is sorted by, and what filters and copies take. */
export interface Column<Row> {
  readonly id: string;
  readonly title: string;
  /** What the numbers mean, as a tooltip. */
  readonly about?: string;
  /** Pixels; the one with none takes what is left. */
  readonly width?: number;
  readonly isNumeric: boolean;
  /** Undefined where there is none (yet). */
  readonly value: (row: Row) => string | number | undefined;
  readonly text: (row: Row) => string;
}

export interface Sort {
  readonly column: string;
  readonly descending: boolean;
}

type Comparison = (value: number) => boolean;

/** One word of a filter: a text that must be somewhere, or a column's number. */
type Term =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "number"; readonly column: string; readonly fits: Comparison };

const OPERATORS: Readonly<Record<string, (limit: number) => Comparison>> = {
  "<": (limit) => (value) => value < limit,
  "<=": (limit) => (value) => value <= limit,
  ">": (limit) => (value) => value > limit,
  ">=": (limit) => (value) => value >= limit,
  "=": (limit) => (value) => value === limit,
};

/**
 * The rows that fit a filter, in their order. Words stand for texts in any text column ("attn2 q"); a column, an operator and a number
 * ("norm>0.5", "rank<=8") for what its number must be. All words must fit. A row without that number does not fit.
 */
export function filterRows<Row>(rows: readonly Row[], columns: readonly Column<Row>[], filter: string): readonly Row[] {
  const terms = parseFilter(filter, columns);
  if (terms.length === 0) return rows;
  const texts = columns.filter(({ isNumeric }) => !isNumeric);
  return rows.filter((row) => {
    const all = texts
      .map((column) => column.value(row))
      .join("\n")
      .toLowerCase();
    return terms.every((term) => (term.kind === "text" ? all.includes(term.text) : fits(row, columns, term)));
  });
}

function fits<Row>(row: Row, columns: readonly Column<Row>[], term: Extract<Term, { kind: "number" }>): boolean {
  const value = columns.find(({ id }) => id === term.column)!.value(row);
  return typeof value === "number" && term.fits(value);
}

function parseFilter<Row>(filter: string, columns: readonly Column<Row>[]): Term[] {
  const words = filter
    .trim()
    .split(/\s+/)
    .filter((word) => word !== "");
  return words.map((word): Term => {
    const [, name = "", operator = "", limit = ""] = /^([a-z]+)(<=|>=|<|>|=)(.+)$/i.exec(word) ?? [];
    const column = columns.find(({ id, isNumeric }) => isNumeric && id.toLowerCase() === name.toLowerCase());
    const isNumber = limit !== "" && !Number.isNaN(Number(limit));
    if (column && isNumber) return { kind: "number", column: column.id, fits: OPERATORS[operator]!(Number(limit)) };
    return { kind: "text", text: word.toLowerCase() };
  });
}

/** A sorted copy; rows without a value come last either way, equal ones keep their order. */
export function sortRows<Row>(rows: readonly Row[], columns: readonly Column<Row>[], sort: Sort | undefined): readonly Row[] {
  const column = columns.find(({ id }) => id === sort?.column);
  if (!sort || !column) return rows;
  const direction = sort.descending ? -1 : 1;
  const keyed = rows.map((row) => ({ row, key: column.value(row) }));
  const isMissing = (key: string | number | undefined) => key === undefined || Number.isNaN(key);
  keyed.sort((a, b) => {
    if (isMissing(a.key) || isMissing(b.key)) return Number(isMissing(a.key)) - Number(isMissing(b.key));
    return direction * compareKeys(a.key!, b.key!);
  });
  return keyed.map(({ row }) => row);
}

const collator = new Intl.Collator(undefined, { numeric: true });

function compareKeys(a: string | number, b: string | number): number {
  return typeof a === "number" && typeof b === "number" ? a - b : collator.compare(String(a), String(b));
}

/** The sort after a click on a column: numbers begin with the largest. A third click gives the file's order. */
export function nextSort<Row>(sort: Sort | undefined, { id, isNumeric }: Column<Row>): Sort | undefined {
  if (sort?.column !== id) return { column: id, descending: isNumeric };
  return sort.descending === isNumeric ? { column: id, descending: !isNumeric } : undefined;
}

/** The rows as CSV, numbers in full. */
export function toCsv<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  return csvLines([columns.map(({ id }) => id), ...rows.map((row) => columns.map((column) => column.value(row)))]);
}

/** Lines of RFC 4180. */
export function csvLines(lines: readonly (readonly (string | number | undefined)[])[]): string {
  const quote = (value: string | number | undefined) => {
    const text = value === undefined ? "" : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return lines.map((cells) => `${cells.map(quote).join(",")}\r\n`).join("");
}

export function toJson<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const objects = rows.map((row) => Object.fromEntries(columns.map((column) => [column.id, column.value(row)])));
  return JSON.stringify(objects, undefined, 2);
}
