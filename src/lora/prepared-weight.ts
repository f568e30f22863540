import type { ChangeSource, ChangeTensor } from "../formats/delta-writer.ts";
import { fromFloat32, type WeightDtype } from "../formats/numbers.ts";
import type { TensorEntry } from "../formats/safetensors.ts";
import { elementCount } from "../formats/tensor.ts";
import type { DenseChange, FactoredChange, LowRankChange, WeightChange } from "./delta.ts";
import { scaledElements, storedDtype } from "./factor-values.ts";
import type { Factor } from "./factors.ts";
import type { LoraFile } from "./lora-file.ts";
import { matrixSize } from "./merge.ts";
import type { DenseUpdate, LoraUpdate, LowRankUpdate } from "./update.ts";

/** An update's place in the change of a weight. */
export interface WeightPart<Update extends LoraUpdate = LoraUpdate> {
  readonly update: Update;
  /** Rows [start, end) of the weight that it changes; absent: all. */
  readonly rows?: { readonly start: number; readonly end: number };
  /** alpha's scale times the delta's strength, of kinds that it is multiplied into. */
  readonly scale: number;
  /** Whether the factor that takes the scale needs no rounding for it in its own dtype. */
  readonly exact: boolean;
}

/** The change of one weight by one LoRA, not read yet. */
export interface PreparedWeight {
  readonly name: string;
  readonly shape: readonly number[];
  /** As reports name what is done: "LoRA", "DoRA". */
  readonly labels: readonly string[];
  /** The change in fp32, ready to be merged. */
  readChange(lora: LoraFile): Promise<WeightChange>;
  /** The change as a delta file holds it. */
  source(lora: LoraFile): ChangeSource;
}

/** The way of keeping a weight's change that fits all parts of it. `strength` is the delta's own. */
export function prepareWeight(name: string, shape: readonly number[], parts: readonly WeightPart[], strength: number): PreparedWeight {
  if (parts.every(isLowRank)) return new PreparedLowRank(name, shape, parts);
  if (parts.every(isDense)) return new PreparedDense(name, shape, parts);
  return new PreparedFactors(name, shape, parts, strength);
}

function isLowRank(part: WeightPart): part is WeightPart<LowRankUpdate> {
  return part.update.kind === "lowRank";
}

function isDense(part: WeightPart): part is WeightPart<DenseUpdate> {
  return part.update.kind === "dense";
}

/**
 * up [rows, rank] · down [rank, columns], the parts' ranks one after the other. `down` keeps the file's dtype. `up` has the scale
 * multiplied in: in the file's dtype where no element needs rounding for it, else in fp32, so that nothing is lost beside fp32's own
 * rounding.
 */
export class PreparedLowRank implements PreparedWeight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly labels = ["LoRA"];
  readonly rank: number;
  readonly upDtype: WeightDtype;
  readonly downDtype: WeightDtype;
  readonly #rows: number;
  readonly #columns: number;
  readonly #parts: readonly WeightPart<LowRankUpdate>[];

  constructor(name: string, shape: readonly number[], parts: readonly WeightPart<LowRankUpdate>[]) {
    this.name = name;
    this.shape = shape;
    const { rows, columns } = matrixSize(shape);
    this.#rows = rows;
    this.#columns = columns;
    this.rank = parts.reduce((sum, { update }) => sum + update.rank, 0);
    const upDtype = commonDtype(parts.map(({ update }) => update.up.dtype));
    this.upDtype = parts.every(({ exact }) => exact) ? upDtype : "F32";
    this.downDtype = commonDtype(parts.map(({ update }) => update.down.dtype));
    this.#parts = parts;
  }

  async readChange(lora: LoraFile): Promise<LowRankChange> {
    const up = (await this.#readUp(lora, "F32")) as Float32Array;
    const down = (await this.#readDown(lora, "F32")) as Float32Array;
    return { kind: "lowRank", rank: this.rank, up, down };
  }

  source(lora: LoraFile): ChangeSource {
    const { name, rank, upDtype, downDtype } = this;
    const up = lazyTensor(upDtype, [this.#rows, rank], () => this.#readUp(lora, upDtype));
    const down = lazyTensor(downDtype, [rank, this.#columns], () => this.#readDown(lora, downDtype));
    return { name, kind: "lowRank", up, down };
  }

  /** `up` in `dtype` as its elements; rows that no part changes are zero. */
  async #readUp(lora: LoraFile, dtype: WeightDtype): Promise<Uint16Array | Float32Array> {
    const up = dtype === "F32" ? new Float32Array(this.#rows * this.rank) : new Uint16Array(this.#rows * this.rank);
    let start = 0;
    for (const { update, rows, scale } of this.#parts) {
      const part = scaledElements(await lora.readBytes(update.up), update.up.dtype, scale, dtype);
      if (part.length === up.length) return part;
      const { rank } = update;
      const row = rows?.start ?? 0;
      for (let i = 0; i < part.length / rank; i++) up.set(part.subarray(i * rank, (i + 1) * rank), (row + i) * this.rank + start);
      start += rank;
    }
    return up;
  }

  /** `down` in `dtype` as its elements. */
  async #readDown(lora: LoraFile, dtype: WeightDtype): Promise<Uint16Array | Float32Array> {
    const down = dtype === "F32" ? new Float32Array(this.rank * this.#columns) : new Uint16Array(this.rank * this.#columns);
    let start = 0;
    for (const { update } of this.#parts) {
      const part = scaledElements(await lora.readBytes(update.down), update.down.dtype, 1, dtype);
      if (part.length === down.length) return part;
      down.set(part, start);
      start += part.length;
    }
    return down;
  }
}

/** The change itself, the strength multiplied in; zero in rows that no part changes. */
class PreparedDense implements PreparedWeight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly labels: readonly string[];
  readonly #dtype: WeightDtype;
  readonly #parts: readonly WeightPart<DenseUpdate>[];

  constructor(name: string, shape: readonly number[], parts: readonly WeightPart<DenseUpdate>[]) {
    this.name = name;
    this.shape = shape;
    this.labels = parts.map(({ update }) => update.label);
    // Where two are summed, only fp32 holds the sum.
    const isOne = parts.length === 1 || parts.every(({ rows }) => rows !== undefined);
    const isExact = isOne && parts.every(({ exact }) => exact);
    this.#dtype = isExact ? commonDtype(parts.map(({ update }) => update.values.dtype)) : "F32";
    this.#parts = parts;
  }

  async readChange(lora: LoraFile): Promise<DenseChange> {
    const values = new Float32Array(elementCount(this.shape));
    const { columns } = matrixSize(this.shape);
    for (const { update, rows, scale } of this.#parts) {
      const part = scaledElements(await lora.readBytes(update.values), update.values.dtype, scale, "F32");
      const start = (rows?.start ?? 0) * columns;
      for (let i = 0; i < part.length; i++) values[start + i]! += part[i]!;
    }
    return { kind: "dense", values };
  }

  source(lora: LoraFile): ChangeSource {
    const dtype = this.#dtype;
    const read = async () => (await this.readChange(lora)).values;
    return { name: this.name, kind: "dense", values: lazyTensor(dtype, this.shape, read) };
  }
}

/** The parts' factors as they are in the file; the delta's strength is in its metadata. */
class PreparedFactors implements PreparedWeight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly labels: readonly string[];
  readonly #parts: readonly WeightPart[];
  readonly #strength: number;

  constructor(name: string, shape: readonly number[], parts: readonly WeightPart[], strength: number) {
    this.name = name;
    this.shape = shape;
    this.labels = parts.map(({ update }) => update.label);
    this.#parts = parts;
    this.#strength = strength;
  }

  async readChange(lora: LoraFile): Promise<FactoredChange> {
    const parts = [];
    for (const { update, rows } of this.#parts) {
      const { entries, numbers } = factorsOf(update);
      const factors = new Map<string, Factor>();
      for (const [name, entry] of entries) factors.set(name, { shape: entry.shape, values: await lora.readFloat32(entry) });
      for (const [name, value] of numbers) factors.set(name, { shape: [], values: Float32Array.of(value) });
      parts.push({ factors, ...(rows ? { rows } : {}) });
    }
    return { kind: "factored", parts, strength: this.#strength };
  }

  source(lora: LoraFile): ChangeSource {
    const factors = new Map<string, ChangeTensor>();
    for (const [index, { update, rows }] of this.#parts.entries()) {
      const { entries, numbers } = factorsOf(update);
      const start = (this.#parts.length > 1 ? `part_${index}.` : "") + (rows ? `rows_${rows.start}_${rows.end}.` : "");
      for (const [name, entry] of entries) {
        const dtype = storedDtype(entry.dtype);
        const read = async () => scaledElements(await lora.readBytes(entry), entry.dtype, 1, dtype);
        factors.set(start + name, lazyTensor(dtype, entry.shape, read));
      }
      for (const [name, value] of numbers)
        factors.set(
          start + name,
          lazyTensor("F32", [], () => Promise.resolve(Float32Array.of(value))),
        );
    }
    return { name: this.name, kind: "factors", factors };
  }
}

/** An update of any kind as factors, which it is where others stand beside it. */
function factorsOf(update: LoraUpdate): { entries: ReadonlyMap<string, TensorEntry>; numbers: ReadonlyMap<string, number> } {
  if (update.kind === "factored") return { entries: update.factors, numbers: update.numbers };
  if (update.kind === "dense") return { entries: new Map([["diff", update.values]]), numbers: new Map() };
  const numbers = new Map(update.scale === 1 ? [] : [["alpha", update.scale * update.rank]]);
  const entries = new Map([
    ["lora_up", update.up],
    ["lora_down", update.down],
  ]);
  return { entries, numbers };
}

/** A tensor that is read when its turn to be written comes. */
export function lazyTensor(dtype: WeightDtype, shape: readonly number[], read: () => Promise<Uint16Array | Float32Array>): ChangeTensor {
  const chunks = async function* () {
    const elements = await read();
    yield elements instanceof Float32Array
      ? fromFloat32(elements, dtype)
      : new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength);
  };
  return { dtype, shape, chunks };
}

function commonDtype(dtypes: readonly string[]): WeightDtype {
  const [first, ...others] = new Set(dtypes.map(storedDtype));
  return first !== undefined && others.length === 0 ? first : "F32";
}
