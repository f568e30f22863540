import type { WeightDtype } from "../formats/numbers.ts";
import type { WeightChange } from "./delta.ts";
import { scaledElements, storedDtype } from "./factor-values.ts";
import type { LoraFile } from "./lora-file.ts";
import { matrixSize } from "./merge.ts";
import type { LoraUpdate } from "./update.ts";

/** An update's place in the change of a weight. */
export interface WeightPart {
  readonly update: LoraUpdate;
  /** First row of the weight that it changes. */
  readonly row: number;
  /** alpha's scale times the delta's strength. */
  readonly scale: number;
  /** Whether `up` times `scale` needs no rounding in up's own dtype. */
  readonly exact: boolean;
}

/**
 * The change of one weight by one LoRA, not read yet: up [rows, rank] · down [rank, columns], the parts' ranks one after the other.
 * `down` keeps the file's dtype. `up` has the scale multiplied in: in the file's dtype where no element needs rounding for it, else
 * in fp32, so that nothing is lost beside fp32's own rounding.
 */
export class PreparedWeight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly rows: number;
  readonly columns: number;
  readonly rank: number;
  readonly upDtype: WeightDtype;
  readonly downDtype: WeightDtype;
  readonly #parts: readonly WeightPart[];

  constructor(name: string, shape: readonly number[], parts: readonly WeightPart[]) {
    this.name = name;
    this.shape = shape;
    ({ rows: this.rows, columns: this.columns } = matrixSize(shape));
    this.rank = parts.reduce((sum, { update }) => sum + update.rank, 0);
    const upDtype = commonDtype(parts.map(({ update }) => update.up.dtype));
    this.upDtype = parts.every(({ exact }) => exact) ? upDtype : "F32";
    this.downDtype = commonDtype(parts.map(({ update }) => update.down.dtype));
    this.#parts = parts;
  }

  /** `up` in `dtype` as its elements; rows that no part changes are zero. */
  async readUp(lora: LoraFile, dtype: WeightDtype): Promise<Uint16Array | Float32Array> {
    const up = dtype === "F32" ? new Float32Array(this.rows * this.rank) : new Uint16Array(this.rows * this.rank);
    let start = 0;
    for (const { update, row, scale } of this.#parts) {
      const part = scaledElements(await lora.readBytes(update.up), update.up.dtype, scale, dtype);
      if (part.length === up.length) return part;
      const { rank } = update;
      for (let i = 0; i < part.length / rank; i++) up.set(part.subarray(i * rank, (i + 1) * rank), (row + i) * this.rank + start);
      start += rank;
    }
    return up;
  }

  /** `down` in `dtype` as its elements. */
  async readDown(lora: LoraFile, dtype: WeightDtype): Promise<Uint16Array | Float32Array> {
    const down = dtype === "F32" ? new Float32Array(this.rank * this.columns) : new Uint16Array(this.rank * this.columns);
    let start = 0;
    for (const { update } of this.#parts) {
      const part = scaledElements(await lora.readBytes(update.down), update.down.dtype, 1, dtype);
      if (part.length === down.length) return part;
      down.set(part, start);
      start += part.length;
    }
    return down;
  }

  /** The change in fp32, ready to be merged. */
  async readChange(lora: LoraFile): Promise<WeightChange> {
    const up = (await this.readUp(lora, "F32")) as Float32Array;
    const down = (await this.readDown(lora, "F32")) as Float32Array;
    return { kind: "lowRank", rank: this.rank, up, down };
  }
}

function commonDtype(dtypes: readonly string[]): WeightDtype {
  const [first, ...others] = new Set(dtypes.map(storedDtype));
  return first !== undefined && others.length === 0 ? first : "F32";
}
