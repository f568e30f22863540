import { UserError } from "../formats/errors.ts";
import { findNonFinite, isNumericDtype, toFloat32 } from "../formats/numbers.ts";
import { RandomAccessFile } from "../formats/random-access-file.ts";
import type { TensorPair, TensorRows } from "./module-pairs.ts";

/** Reads what tensors of two checkpoints differ by; keeps their files open. */
export class CheckpointDifference {
  readonly #files = new Map<string, RandomAccessFile>();

  /**
   * tuned − base in fp32, row-major; undefined where no number differs.
   * Throws "checkpoint.unsupported" for a dtype that holds no numbers, "file.invalid" for NaN or infinite values.
   */
  async read({ base, tuned }: TensorPair): Promise<Float32Array | undefined> {
    const [before, after] = [await this.#read(base), await this.#read(tuned)];
    if (base.weight.dtype === tuned.weight.dtype && Buffer.compare(before, after) === 0) return undefined;
    const [old, change] = [numbersOf(base, before), numbersOf(tuned, after)];
    let differs = false;
    for (let i = 0; i < change.length; i++) {
      change[i]! -= old[i]!;
      // Not so for −0, nor for the same number in two dtypes.
      if (change[i] !== 0) differs = true;
    }
    if (!differs) return undefined;
    requireFinite(change, tuned, base);
    return change;
  }

  async close(): Promise<void> {
    for (const file of this.#files.values()) await file.close();
  }

  async #read({ weight, offset, length }: TensorRows): Promise<Uint8Array<ArrayBuffer>> {
    let file = this.#files.get(weight.file);
    if (!file) this.#files.set(weight.file, (file = await RandomAccessFile.open(weight.file)));
    return file.readBytes(offset, length);
  }
}

function numbersOf({ weight }: TensorRows, bytes: Uint8Array): Float32Array {
  if (isNumericDtype(weight.dtype)) return toFloat32(bytes, weight.dtype);
  throw new UserError(
    "checkpoint.unsupported",
    `${weight.file}: "${weight.name}" has dtype ${weight.dtype}, which cannot be read as numbers here.`,
  );
}

function requireFinite(change: Float32Array, tuned: TensorRows, base: TensorRows): void {
  const { nan, inf } = findNonFinite(change);
  if (nan + inf === 0) return;
  throw new UserError(
    "file.invalid",
    `"${tuned.weight.name}" has NaN or infinite values in ${tuned.weight.file} or ${base.weight.file}. Use checkpoints that are whole.`,
  );
}
