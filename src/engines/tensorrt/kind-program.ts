import type { NativeNumbers, NativeProgram } from "./native.ts";

/*
 * The GPU's arithmetic for one weight, written operation by operation in the numbers that native/cuda/kind_operations.cc reads: their order here
 * is the order there.
 */

const OPERATION = { product: 0, pass: 1, norms: 2, cayley: 3, rotation: 4 } as const;
const STEP = { lowRank: 0, hadamard: 1, kronecker: 2, add: 3, assign: 4, scale: 5 } as const;
const SUM_AXIS = { rows: 1, columns: 2 } as const;

/** The part of a weight that a block of threads computes (kernels/kind_types.h): sums over a weight are of so many at first. */
const TILE = { rows: 128, columns: 64 } as const;

/** Numbers on the GPU: the weight's, a factor's, or scratch memory in fp32. */
export interface ProgramBuffer {
  readonly place: "base" | "out" | "factor" | "scratch";
  readonly index: number;
}

/** A matrix in a buffer: element (i, j) is number offset + i · rowStep + j · columnStep. */
export interface MatrixView {
  readonly buffer: ProgramBuffer;
  readonly offset?: number;
  readonly rowStep: number;
  readonly columnStep: number;
}

export interface ProductOperation {
  readonly rows: number;
  readonly columns: number;
  readonly depth: number;
  /** How many products there are, and how far their matrices are apart; absent: one. */
  readonly batches?: { readonly count: number; readonly left: number; readonly right: number; readonly out: number };
  readonly left: MatrixView;
  readonly right: MatrixView;
  readonly out: MatrixView;
}

/** Rows [start, end) of a weight. */
export interface RowRange {
  readonly start: number;
  readonly end: number;
}

/** What a pass does to a weight's numbers in some rows; kernels/kind_types.h has the formulas. */
export type ProgramStep = { readonly rows: RowRange; readonly scale: number } & (
  | { readonly kind: "lowRank"; readonly depth: number; readonly a: MatrixView; readonly b: MatrixView }
  | {
      readonly kind: "hadamard";
      readonly depth: number;
      readonly secondDepth: number;
      readonly a: MatrixView;
      readonly b: MatrixView;
      readonly c: MatrixView;
      readonly d: MatrixView;
    }
  | {
      readonly kind: "kronecker";
      readonly blockRows: number;
      readonly blockColumns: number;
      readonly a: MatrixView;
      readonly b: MatrixView;
    }
  | { readonly kind: "add" | "assign"; readonly a: MatrixView }
  /** blockColumns: neighbouring columns that have one factor. */
  | { readonly kind: "scale"; readonly offset: number; readonly blockColumns: number; readonly a: MatrixView }
);

export interface NormsOperation {
  readonly axis: "rows" | "columns";
  readonly rows: RowRange;
  /** Neighbouring columns that are one channel. */
  readonly kernel: number;
  readonly magnitude: ProgramBuffer;
  /** Whether the factor is 1 + strength · (m / norm − 1), not m / norm. */
  readonly isRelative: boolean;
  readonly strength: number;
}

export interface CayleyOperation {
  readonly from: ProgramBuffer;
  readonly count: number;
  readonly size: number;
  /** Whether Q is given by the elements above its diagonal; else it is blocks − blocksᵀ. */
  readonly isTriangle: boolean;
  /** The largest norm of each Q, or of all together. */
  readonly limit?: { readonly of: "each" | "all"; readonly largest: number };
  /** Of Q in R = (I − factor · Q)(I + factor · Q)⁻¹. */
  readonly factor: number;
  readonly strength: number;
}

export interface RotationOperation {
  readonly from: ProgramBuffer;
  readonly out: ProgramBuffer;
  readonly rotations: ProgramBuffer;
  readonly rotationsOffset: number;
  readonly size: number;
  readonly isShared: boolean;
  readonly rows: RowRange;
  readonly axis: "rows" | "columns";
  /** Runs of numbers within parts that are reordered, those at even places first; absent: none are. */
  readonly order?: { readonly part: number; readonly run: number };
}

/** The largest matrix that is inverted on the GPU (kernels/kind_types.h). */
export const LARGEST_CAYLEY = 5120;

/** Builds the program of a weight [rows, columns]. */
export class ProgramBuilder {
  readonly rows: number;
  readonly columns: number;
  readonly base: ProgramBuffer = { place: "base", index: 0 };
  readonly out: ProgramBuffer = { place: "out", index: 1 };
  readonly #factors: NativeNumbers[] = [];
  readonly #scratch: number[] = [];
  readonly #code: (number | ProgramBuffer)[] = [];

  constructor(rows: number, columns: number) {
    this.rows = rows;
    this.columns = columns;
  }

  factor(numbers: NativeNumbers): ProgramBuffer {
    return { place: "factor", index: this.#factors.push(numbers) - 1 };
  }

  scratch(count: number): ProgramBuffer {
    return { place: "scratch", index: this.#scratch.push(count) - 1 };
  }

  product({ rows, columns, depth, batches, left, right, out }: ProductOperation): void {
    const { count, ...steps } = batches ?? { count: 1, left: 0, right: 0, out: 0 };
    this.#code.push(OPERATION.product, rows, columns, depth, count, steps.left, steps.right, steps.out);
    for (const view of [left, right, out]) this.#view(view);
  }

  /** Takes the numbers of `from` through the steps to `to`, which may be the same buffer. */
  pass(from: ProgramBuffer, to: ProgramBuffer, steps: readonly ProgramStep[]): void {
    this.#code.push(OPERATION.pass, from, to, 0, 0, 0, steps.length);
    for (const step of steps) this.#step(step);
  }

  /** The factors that a DoRA's rows or channels have after the steps, as a vector. */
  norms(from: ProgramBuffer, steps: readonly ProgramStep[], norms: NormsOperation): ProgramBuffer {
    const { axis, rows, kernel, magnitude, isRelative, strength } = norms;
    const [tiles, stride] =
      axis === "rows" ? [Math.ceil(this.columns / TILE.columns), this.rows] : [Math.ceil(this.rows / TILE.rows), this.columns];
    const sums = this.scratch(tiles * stride);
    this.#code.push(OPERATION.pass, from, sums, SUM_AXIS[axis], rows.start, rows.end, steps.length);
    for (const step of steps) this.#step(step);
    const [count, width, first] = axis === "rows" ? [rows.end - rows.start, 1, rows.start] : [this.columns / kernel, kernel, 0];
    const factors = this.scratch(count);
    this.#code.push(OPERATION.norms, sums, count, factors);
    this.#view({ buffer: magnitude, rowStep: 1, columnStep: 0 });
    this.#code.push(tiles, stride, width, first, Number(isRelative), strength);
    return factors;
  }

  /** The matrices I + strength · (R − I), one after the other. */
  cayley({ from, count, size, isTriangle, limit, factor, strength }: CayleyOperation): ProgramBuffer {
    const out = this.scratch(count * size * size);
    const limited = limit === undefined ? 0 : limit.of === "each" ? 1 : 2;
    this.#code.push(OPERATION.cayley, from, count, size, out, Number(isTriangle), limited, limit?.largest ?? 0, factor, strength);
    return out;
  }

  rotation({ from, out, rotations, rotationsOffset, size, isShared, rows, axis, order }: RotationOperation): void {
    const height = rows.end - rows.start;
    const [length, others, axisStep, otherStep] =
      axis === "rows" ? [height, this.columns, this.columns, 1] : [this.columns, height, 1, this.columns];
    this.#code.push(OPERATION.rotation, from, out, rows.start * this.columns, rotations, rotationsOffset);
    this.#code.push(length, others, axisStep, otherStep, size, Number(isShared), order?.part ?? length, order?.run ?? length);
  }

  finish(): NativeProgram {
    // A loop takes a twentieth of the time of Float64Array.from with a function; an SDXL LoRA has hundreds of programs.
    const code = new Float64Array(this.#code.length);
    this.#code.forEach((value, place) => (code[place] = typeof value === "number" ? value : this.#number(value)));
    return { factors: this.#factors, scratch: this.#scratch, code };
  }

  #number({ place, index }: ProgramBuffer): number {
    if (place === "factor") return 2 + index;
    return place === "scratch" ? 2 + this.#factors.length + index : index;
  }

  #view({ buffer, offset = 0, rowStep, columnStep }: MatrixView): void {
    this.#code.push(buffer, offset, rowStep, columnStep);
  }

  #step(step: ProgramStep): void {
    const { kind, rows, scale } = step;
    const depth = "depth" in step ? step.depth : 0;
    const secondDepth = kind === "hadamard" ? step.secondDepth : 0;
    const blockRows = kind === "kronecker" ? step.blockRows : 1;
    const blockColumns = "blockColumns" in step ? step.blockColumns : 1;
    const offset = kind === "scale" ? step.offset : 0;
    this.#code.push(STEP[kind], rows.start, rows.end, depth, secondDepth, blockRows, blockColumns, scale, offset);
    this.#view(step.a);
    if ("b" in step) this.#view(step.b);
    if ("c" in step) for (const view of [step.c, step.d]) this.#view(view);
  }
}
