import { UserError } from "../formats/errors.ts";
import { findNonFinite, type WeightDtype } from "../formats/numbers.ts";
import type { TensorEntry } from "../formats/safetensors.ts";
import { elementCount } from "../formats/tensor.ts";
import { scaledElements, scalesExactly, storedDtype } from "./factor-values.ts";
import type { LoraFile } from "./lora-file.ts";
import { factorShapesOf, type WrittenFactor, writtenFactor } from "./lora-tensors.ts";
import type { DenseUpdate, LoraUpdate, LowRankUpdate } from "./update.ts";

/** An update of a LoRA with its whole scale, alpha's included. */
export interface WeightedUpdate<Update extends LoraUpdate = LoraUpdate> {
  readonly lora: LoraFile;
  readonly update: Update;
  readonly scale: number;
}

/** The factors of several updates of one weight side by side: the sum of the updates is scale · up·down. */
export interface JoinedFactors {
  readonly up: WrittenFactor;
  readonly down: WrittenFactor;
  /** The dtype that all the files' factors fit in. */
  readonly dtype: WeightDtype;
  readonly rank: number;
  readonly scale: number;
}

type Updates = readonly WeightedUpdate<LowRankUpdate>[];

/**
 * Joins updates without rounding: one alone keeps its bytes; of several, the scales are multiplied into `up`, which is fp32 where its
 * own dtype would have to round for it.
 */
export async function joinFactors(updates: Updates): Promise<JoinedFactors> {
  const [first] = updates;
  const rank = updates.reduce((sum, { update }) => sum + update.rank, 0);
  const shapes = factorShapesOf([first!.update.up.shape[0]!, ...first!.update.down.shape.slice(1)], rank);
  const ups = commonDtype(updates.map(({ update }) => update.up.dtype));
  const downs = commonDtype(updates.map(({ update }) => update.down.dtype));
  const isExact = await allScaleExactly(updates);
  const { up, down } = await readFactors(updates);
  return {
    up: writtenFactor(up, isExact ? ups : "F32", shapes.up),
    down: writtenFactor(down, downs, shapes.down),
    dtype: ups === downs ? ups : "F32",
    rank,
    scale: updates.length === 1 ? first!.scale : 1,
  };
}

/**
 * The joined factors in fp32: up [rows, rank], down [rank, columns]. Of several updates, each one's scale is multiplied into its columns
 * of `up`. Throws "lora.unsupported" where a factor has NaN or infinite values.
 */
export async function readFactors(updates: Updates): Promise<{ readonly up: Float32Array; readonly down: Float32Array }> {
  const rank = updates.reduce((sum, { update }) => sum + update.rank, 0);
  const rows = updates[0]!.update.up.shape[0]!;
  const columns = elementCount(updates[0]!.update.down.shape.slice(1));
  const [up, down] = [new Float32Array(rows * rank), new Float32Array(rank * columns)];
  let start = 0;
  for (const { lora, update, scale } of updates) {
    const [ownUp, ownDown] = [await finiteFactor(lora, update.up), await finiteFactor(lora, update.down)];
    const factor = updates.length === 1 ? 1 : scale;
    for (let row = 0; row < rows; row++)
      for (let r = 0; r < update.rank; r++) up[row * rank + start + r] = ownUp[row * update.rank + r]! * factor;
    down.set(ownDown, start * columns);
    start += update.rank;
  }
  return { up, down };
}

/** The sum of full differences in their shape; in fp32 where it has to be rounded for their own dtype. */
export async function sumDifferences(updates: readonly WeightedUpdate<DenseUpdate>[]): Promise<WrittenFactor> {
  const [first] = updates;
  const { shape, dtype } = first!.update.values;
  if (updates.length === 1) {
    const bytes = await first!.lora.readBytes(first!.update.values);
    const isExact = scalesExactly(bytes, dtype, first!.scale);
    const target = isExact ? storedDtype(dtype) : "F32";
    const elements = scaledElements(bytes, dtype, first!.scale, target);
    return { dtype: target, shape, bytes: new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength) };
  }
  const sum = new Float32Array(elementCount(shape));
  for (const { lora, update, scale } of updates) {
    const values = await finiteFactor(lora, update.values);
    for (let i = 0; i < sum.length; i++) sum[i]! += scale * values[i]!;
  }
  return writtenFactor(sum, "F32", shape);
}

async function finiteFactor(lora: LoraFile, entry: TensorEntry): Promise<Float32Array> {
  const values = await lora.readFloat32(entry);
  const { nan, inf } = findNonFinite(values);
  if (nan + inf === 0) return values;
  throw new UserError("lora.unsupported", `${lora.path}: "${entry.name}" has ${nan} NaN and ${inf} infinite values. Use another LoRA.`);
}

async function allScaleExactly(updates: Updates): Promise<boolean> {
  if (updates.length === 1) return true;
  for (const { lora, update, scale } of updates) if (!scalesExactly(await lora.readBytes(update.up), update.up.dtype, scale)) return false;
  return true;
}

function commonDtype(dtypes: readonly string[]): WeightDtype {
  const [first, ...others] = new Set(dtypes.map(storedDtype));
  return first !== undefined && others.length === 0 ? first : "F32";
}
