import { UserError } from "../formats/errors.ts";
import { fromFloat32, type WeightDtype } from "../formats/numbers.ts";
import type { Weight } from "../models/checkpoint.ts";

/** The pattern of the smallest fp32 magnitude that has no finite neighbour to be rounded to. */
const OVERFLOW: Readonly<Record<WeightDtype, number>> = { F32: 0x7f800000, BF16: 0x7f7f8000, F16: 0x477ff000 };

/** Whether a weight can be written after a merge. */
export function isBakeable({ dtype }: Pick<Weight, "dtype">): boolean {
  return Object.hasOwn(OVERFLOW, dtype);
}

/** Merged numbers in the weight's own dtype. Throws "option.invalid" where one would be infinite or is NaN. */
export function bakedBytes({ name, dtype }: Weight, values: Float32Array<ArrayBuffer>): Uint8Array {
  const limit = OVERFLOW[dtype as WeightDtype];
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < bits.length; i++) {
    if ((bits[i]! & 0x7fffffff) < limit) continue;
    throw new UserError(
      "option.invalid",
      `"${name}" would hold ${values[i]}, which is no finite number in ${dtype}. Give the LoRAs lower scales.`,
    );
  }
  return fromFloat32(values, dtype as WeightDtype);
}
