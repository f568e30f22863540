import { toFloat32, bytesPerElement, type NumericDtype } from "../../formats/numbers.ts";
import type { SafetensorsFile } from "../../formats/safetensors.ts";
import { elementCount } from "../../formats/tensor.ts";
import type { WeightChange } from "../../lora/delta.ts";
import type { LowRankProduct } from "../../lora/linear-algebra/low-rank-svd.ts";
import { joinLowRank, matrixSize, type MergeTerm, type WeightArithmetic } from "../../lora/merge.ts";
import { isLinearChange } from "../../lora/stack-arithmetic.ts";

/** A layer's change, or a tensor, as a matrix that is read a part at a time: output channels × (input channels · kernel). */
export interface LayerMatrix {
  readonly rows: number;
  readonly columns: number;
  /** Where the matrix is a product: it is never multiplied out as a whole then. */
  readonly factors?: LowRankProduct;
  /** Rows [begin, end), in fp32, row-major. */
  readRows(begin: number, end: number): Promise<Float32Array>;
  /** Rows [rows[0], rows[1]) of columns [columns[0], columns[1]). */
  readBlock(rows: readonly [number, number], columns: readonly [number, number]): Promise<Float32Array>;
}

/** What the change of one weight by a stack is made of. */
export interface ChangeTerms {
  readonly shape: readonly number[];
  readonly terms: readonly MergeTerm<WeightChange>[];
  /** The base's weight; absent where no base is at hand. */
  readonly readBase?: (() => Promise<Float32Array>) | undefined;
}

/**
 * The change W' − W that the terms, in their order, make of a weight W. Undefined where it depends on W (DoRA, OFT, (IA)³, …) and
 * there is no base.
 */
export async function changeMatrix(change: ChangeTerms, arithmetic: WeightArithmetic): Promise<LayerMatrix | undefined> {
  const { shape, terms, readBase } = change;
  const { rows, columns } = matrixSize(shape);
  const linear = terms.flatMap(({ change: each, scale }) => (each.kind === "factored" ? [] : [{ change: each, scale }]));
  if (linear.length === terms.length && linear.every(({ change: each }) => each.kind === "lowRank")) {
    const { up, down, rank } = joinLowRank(linear, rows, columns) ?? { up: new Float32Array(0), down: new Float32Array(0), rank: 0 };
    return new ProductMatrix(rows, columns, { up, down, rank }, arithmetic);
  }
  const isLinear = terms.every(({ change: each }) => isLinearChange(each));
  if (!isLinear && !readBase) return undefined;
  const base = isLinear ? new Float32Array(rows * columns) : await readBase!();
  const out = new Float32Array(rows * columns);
  await arithmetic.merge([{ base, rows, columns, shape, terms, out }]);
  if (!isLinear) for (let i = 0; i < out.length; i++) out[i]! -= base[i]!;
  return new WholeMatrix(rows, columns, out);
}

/** up·down, of which only what is asked for is multiplied. */
class ProductMatrix implements LayerMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly factors: LowRankProduct;
  readonly #arithmetic: WeightArithmetic;

  constructor(rows: number, columns: number, factors: LowRankProduct, arithmetic: WeightArithmetic) {
    this.rows = rows;
    this.columns = columns;
    this.factors = factors;
    this.#arithmetic = arithmetic;
  }

  readRows(begin: number, end: number): Promise<Float32Array> {
    return this.readBlock([begin, end], [0, this.columns]);
  }

  async readBlock([firstRow, lastRow]: readonly [number, number], [first, last]: readonly [number, number]): Promise<Float32Array> {
    const { up, down, rank } = this.factors;
    const [rows, columns] = [lastRow - firstRow, last - first];
    const out = new Float32Array(rows * columns);
    if (rank === 0) return out;
    const part = columns === this.columns ? down : new Float32Array(rank * columns);
    if (part !== down)
      for (let r = 0; r < rank; r++) part.set(down.subarray(r * this.columns + first, r * this.columns + last), r * columns);
    const change = { kind: "lowRank", rank, up: up.subarray(firstRow * rank, lastRow * rank), down: part } as const;
    await this.#arithmetic.merge([{ base: new Float32Array(rows * columns), rows, columns, terms: [{ change, scale: 1 }], out }]);
    return out;
  }
}

/** A matrix in memory. */
class WholeMatrix implements LayerMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly #values: Float32Array;

  constructor(rows: number, columns: number, values: Float32Array) {
    this.rows = rows;
    this.columns = columns;
    this.#values = values;
  }

  readRows(begin: number, end: number): Promise<Float32Array> {
    return Promise.resolve(this.#values.subarray(begin * this.columns, end * this.columns));
  }

  async readBlock(rows: readonly [number, number], columns: readonly [number, number]): Promise<Float32Array> {
    return cutColumns(await this.readRows(...rows), this.columns, columns);
  }
}

/** A tensor that stays in its file. */
export class TensorMatrix implements LayerMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly #file: SafetensorsFile;
  readonly #name: string;
  readonly #dtype: NumericDtype;

  constructor(file: SafetensorsFile, name: string, dtype: NumericDtype) {
    const { shape } = file.entry(name);
    const { rows, columns } = matrixSize(elementCount(shape) === 0 ? [0] : shape);
    this.rows = rows;
    this.columns = columns;
    this.#file = file;
    this.#name = name;
    this.#dtype = dtype;
  }

  async readRows(begin: number, end: number): Promise<Float32Array> {
    const rowBytes = this.columns * bytesPerElement(this.#dtype);
    return toFloat32(await this.#file.readRange(this.#name, begin * rowBytes, end * rowBytes), this.#dtype);
  }

  async readBlock(rows: readonly [number, number], columns: readonly [number, number]): Promise<Float32Array> {
    return cutColumns(await this.readRows(...rows), this.columns, columns);
  }
}

function cutColumns(values: Float32Array, width: number, [first, last]: readonly [number, number]): Float32Array {
  if (last - first === width) return values;
  const rows = values.length / width;
  const cut = new Float32Array(rows * (last - first));
  for (let row = 0; row < rows; row++) cut.set(values.subarray(row * width + first, row * width + last), row * (last - first));
  return cut;
}
