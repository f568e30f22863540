import { sizeFrom, type BlockSize, type Factors, type FactorShapes, type WeightBlock } from "../factors.ts";
import type { MatrixProduct } from "../matrix-product.ts";
import { shapeText, type UpdateKind } from "./kind.ts";

/** The factors that make a DoRA (arXiv:2402.09353) of another kind of update: LyCORIS' and PEFT's. */
export const MAGNITUDES = ["dora_scale", "lora_magnitude_vector"] as const;

/** Added to a norm by LyCORIS: fp32's epsilon. */
const EPSILON = 2 ** -23;

/** Why a magnitude does not fit; undefined where it does, or where there is none. */
export function magnitudeMisfit(shapes: FactorShapes, size: BlockSize): string | undefined {
  for (const name of MAGNITUDES) {
    const shape = shapes.get(name);
    if (shape && axisOf(name, shape, size) === undefined) {
      return `its ${name} has shape ${shapeText(shape)} for a weight of ${size.rows} outputs and ${size.channels} inputs`;
    }
  }
  return undefined;
}

/**
 * Changes a block by a kind's change and a magnitude m. LyCORIS: V = W + Δ, new = V · (1 + strength · (m / (‖V‖ + ε) − 1)), norms over
 * each output or each input channel, whichever `dora_scale` has the shape of. PEFT: V = W + strength · Δ, new = V · m / ‖V‖ over outputs.
 */
export async function applyDora(
  kind: UpdateKind,
  factors: Factors,
  block: WeightBlock,
  strength: number,
  product: MatrixProduct,
): Promise<void> {
  const change = await kind.change!(factors, block, product);
  const name = MAGNITUDES.find((each) => factors.has(each))!;
  const { shape, values: magnitude } = factors.get(name)!;
  const isPeft = name === "lora_magnitude_vector";
  const { values } = block;
  const weight = isPeft ? strength : 1;
  for (let i = 0; i < values.length; i++) values[i]! += weight * change[i]!;
  const axis = axisOf(name, shape, block)!;
  const norms = normsOver(axis, block);
  const scales = norms.map((norm, index) =>
    isPeft ? magnitude[index]! / norm : 1 + strength * (magnitude[index]! / (norm + EPSILON) - 1),
  );
  multiplyAlong(axis, scales, block);
}

type Axis = "rows" | "channels";

/** What a magnitude stands along; undefined where it fits neither. */
export function axisOf(name: (typeof MAGNITUDES)[number], shape: readonly number[], { rows, channels }: BlockSize): Axis | undefined {
  const count = sizeFrom(shape, 0);
  if (name === "lora_magnitude_vector" || shape.length < 2) return count === rows ? "rows" : undefined;
  if (shape[0] === rows && count === rows) return "rows";
  return shape[0] === 1 && shape[1] === channels && count === channels ? "channels" : undefined;
}

function normsOver(axis: Axis, { rows, channels, kernel, values }: WeightBlock): Float64Array {
  const sums = new Float64Array(axis === "rows" ? rows : channels);
  let next = 0;
  for (let row = 0; row < rows; row++) {
    if (axis === "rows") {
      let sum = 0;
      for (const end = next + channels * kernel; next < end; next++) sum += values[next]! * values[next]!;
      sums[row] = sum;
    } else {
      for (let channel = 0; channel < channels; channel++) {
        for (const end = next + kernel; next < end; next++) sums[channel]! += values[next]! * values[next]!;
      }
    }
  }
  return sums.map(Math.sqrt);
}

function multiplyAlong(axis: Axis, scales: Float64Array, { rows, channels, kernel, values }: WeightBlock): void {
  let next = 0;
  for (let row = 0; row < rows; row++) {
    if (axis === "rows") {
      const scale = scales[row]!;
      for (const end = next + channels * kernel; next < end; next++) values[next]! *= scale;
    } else {
      for (let channel = 0; channel < channels; channel++) {
        const scale = scales[channel]!;
        for (const end = next + kernel; next < end; next++) values[next]! *= scale;
      }
    }
  }
}
