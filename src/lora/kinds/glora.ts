import { elementsOf, factor, sizeFrom, type FactorShapes, type WeightBlock } from "../factors.ts";
import { asMatrix, transpose, type Matrix, type MatrixProduct } from "../matrix-product.ts";
import { matrixMisfit, type UpdateKind } from "./kind.ts";
import { alphaScale } from "./scale.ts";

/**
 * GLoRA (arXiv:2306.07967, LyCORIS): new = W + strength · alpha / r · (W·a1·a2 + b1·b2), a1 [in, r], a2 [r, in], b1 [out, r],
 * b2 [r, in, kernel…]; a1·a2 acts on the input channels. Files of LyCORIS before 2.0 have each pair the other way round:
 * W·a2·a1 + b2·b1 with a2 [in, r], a1 [r, in].
 */
export const GLORA: UpdateKind = {
  label: "GLoRA",
  required: [["a1", "a2", "b1", "b2"]],
  multiplied: [],
  check(shapes) {
    if (NAMES.some((name) => shapes.get(name)!.length < 2)) return "its factors are not matrices";
    return gloraOrder(shapes) ? undefined : "its ranks do not agree";
  },
  rank: (shapes) => gloraOrder(shapes)!.rank,
  misfit(shapes, size) {
    const { a1, b1, b2 } = gloraOrder(shapes)!;
    const misfit = matrixMisfit(shapes.get(b1)![0]!, sizeFrom(shapes.get(b2)!, 1), size);
    const channels = shapes.get(a1)![0];
    return (
      misfit ?? (channels === size.channels ? undefined : `its ${a1} is for ${channels} input channels, here they are ${size.channels}`)
    );
  },
  inputs: (shapes) => shapes.get(gloraOrder(shapes)!.a1)![0],
  async apply(factors, block, strength, product) {
    const names = gloraOrder(new Map(Array.from(factors, ([name, { shape }]) => [name, shape])))!;
    const [a1, a2, b1, b2] = [names.a1, names.a2, names.b1, names.b2].map((name) => asMatrix(factor(factors, name))) as [
      Matrix,
      Matrix,
      Matrix,
      Matrix,
    ];
    const own = await onChannels(block, a1, a2, product);
    const added = await product.multiply(b1, b2);
    const scale = strength * alphaScale(factors, names.rank);
    for (let i = 0; i < own.length; i++) block.values[i]! += scale * (own[i]! + added.values[i]!);
  },
};

const NAMES = ["a1", "a2", "b1", "b2"] as const;

/** Which factor is which of W·a1·a2 + b1·b2; undefined where no order fits. */
export function gloraOrder(shapes: FactorShapes): { a1: string; a2: string; b1: string; b2: string; rank: number } | undefined {
  const size = (name: string, axis: number) => shapes.get(name)![axis]!;
  for (const [a1, a2, b1, b2] of [NAMES, ["a2", "a1", "b2", "b1"]] as const) {
    const rank = size(b1, 1);
    const agree = size(b2, 0) === rank && size(a1, 1) === rank && size(a2, 0) === rank && size(a1, 0) === sizeFrom(shapes.get(a2)!, 1);
    if (agree && sizeFrom(shapes.get(a1)!, 2) === 1 && sizeFrom(shapes.get(b1)!, 2) === 1) return { a1, a2, b1, b2, rank };
  }
  return undefined;
}

/** W·a1·a2 over the input channels, in W's own order. */
async function onChannels(block: WeightBlock, a1: Matrix, a2: Matrix, product: MatrixProduct): Promise<Float32Array> {
  const { rows, channels, kernel } = block;
  const each = { rows: rows * kernel, columns: channels, values: kernel === 1 ? block.values : channelsLast(block) };
  const { values } = await product.multiply(await product.multiply(each, a1), a2);
  if (kernel === 1) return values;
  const turned = new Float32Array(elementsOf(block));
  for (let row = 0; row < rows; row++) {
    const part = values.subarray(row * kernel * channels, (row + 1) * kernel * channels);
    turned.set(transpose({ rows: kernel, columns: channels, values: part }).values, row * kernel * channels);
  }
  return turned;
}

/** [rows, channels, kernel] -> [rows, kernel, channels]. */
function channelsLast({ rows, channels, kernel, values }: WeightBlock): Float32Array {
  const turned = new Float32Array(values.length);
  const size = channels * kernel;
  for (let row = 0; row < rows; row++) {
    const part = values.subarray(row * size, (row + 1) * size);
    turned.set(transpose({ rows: channels, columns: kernel, values: part }).values, row * size);
  }
  return turned;
}
