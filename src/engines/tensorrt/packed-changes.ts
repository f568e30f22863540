import type { WeightDtype } from "../../formats/numbers.ts";
import type { NativeChange, NativeNumbers, PackedChanges, PackedProgram } from "./native.ts";

/** Numbers as the native side counts their types. */
const TYPES: Readonly<Record<WeightDtype, number>> = { F32: 0, F16: 1, BF16: 2 };
/** Numbers of a row. */
export const TERM_COLUMNS = 5;
const FACTOR_COLUMNS = 4;

/**
 * The changes of a stack as tables of numbers. An SDXL LoRA has 1,444 factors: reading an object for each took the native side 2 to 5 ms, for
 * a stack of four LoRAs 8 to 15.
 */
export function packChanges(changes: readonly NativeChange[]): PackedChanges {
  const factors = new FactorTable();
  const terms: number[] = [];
  const programs: PackedProgram[] = [];
  changes.forEach(({ terms: own, program }, change) => {
    for (const { rank, scale, up, down } of own) terms.push(change, rank, scale, factors.add(up), down ? factors.add(down) : -1);
    if (!program) return;
    const { scratch, code } = program;
    programs.push({ change, factors: program.factors.map((numbers) => factors.add(numbers)), scratch, code });
  });
  return { names: changes.map(({ name }) => name), terms: new Float64Array(terms), programs, ...factors.packed() };
}

class FactorTable {
  readonly #rows: number[] = [];
  readonly #files = new Map<string, number>();
  readonly #data: NodeJS.TypedArray[] = [];

  /** The row of these numbers. */
  add(numbers: NativeNumbers): number {
    const row = this.#rows.length / FACTOR_COLUMNS;
    const type = TYPES[numbers.dtype];
    if ("data" in numbers) this.#rows.push(-this.#data.push(numbers.data), 0, 0, type);
    else this.#rows.push(this.#file(numbers.file), numbers.offset, numbers.count, type);
    return row;
  }

  #file(path: string): number {
    const known = this.#files.get(path) ?? this.#files.size;
    this.#files.set(path, known);
    return known;
  }

  packed(): Pick<PackedChanges, "factors" | "files" | "data"> {
    return { factors: new Float64Array(this.#rows), files: [...this.#files.keys()], data: this.#data };
  }
}
