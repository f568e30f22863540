import { join } from "node:path";
import type { RefittableWeight } from "../formats/engine-bundle.ts";
import { throwIfCancelled, UserError } from "../formats/errors.ts";
import { isNumericDtype, toFloat32 } from "../formats/numbers.ts";
import { RandomAccessFile } from "../formats/random-access-file.ts";

/** A weight that a LoRA can reach, widened to the type the engine computes in. */
export interface BaseWeight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/**
 * Reads the base values of refittable weights from the bundle's weight files. Widening to fp32 is exact, so the values are
 * the file's own, whatever it stores.
 */
export async function readBaseWeights(
  folder: string,
  refittable: readonly RefittableWeight[],
  signal?: AbortSignal,
): Promise<BaseWeight[]> {
  const weights: BaseWeight[] = [];
  for (const file of new Set(refittable.map((entry) => entry.file))) {
    const source = await RandomAccessFile.open(join(folder, file));
    try {
      for (const entry of refittable.filter((each) => each.file === file)) {
        throwIfCancelled(signal);
        weights.push({ name: entry.name, shape: entry.shape, values: await readWeight(source, entry) });
      }
    } finally {
      await source.close();
    }
  }
  return weights;
}

async function readWeight(source: RandomAccessFile, { name, dtype, offset, length }: RefittableWeight): Promise<Float32Array> {
  if (!isNumericDtype(dtype)) {
    throw new UserError("bundle.invalid", `${source.path}: the weight "${name}" has dtype ${dtype}, which this backend cannot read.`);
  }
  const bytes = await source.readBytes(offset, length);
  return dtype === "F32" ? new Float32Array(bytes.buffer) : toFloat32(bytes, dtype);
}
