import { throwIfCancelled } from "../formats/errors.ts";
import type { WeightDtype } from "../formats/numbers.ts";
import { toFloat32 } from "../formats/numbers.ts";
import type { TensorSource } from "../formats/safetensors-writer.ts";
import { CheckpointDifference } from "./checkpoint-difference.ts";
import { relativeNorm } from "./combine-loras.ts";
import type { MatrixProducts } from "./linear-algebra/matrix-products.ts";
import { truncatedSvd } from "./linear-algebra/truncated-svd.ts";
import type { Truncation } from "./linear-algebra/truncation.ts";
import { sumOfSquares } from "./linear-algebra/vectors.ts";
import { factorShapesOf, loraTensors, writtenFactor, writtenTensor } from "./lora-tensors.ts";
import { matrixSize } from "./merge.ts";
import type { ModulePair, ModulePairs, TensorPair } from "./module-pairs.ts";
import type { Finding } from "./update.ts";

/** One layer that changed. */
export interface ExtractedLayer {
  /** kohya's name of the module. */
  readonly name: string;
  readonly rank: number;
  /** Frobenius norm of what the LoRA does not give back, relative to the change's; its rounding to the file's dtype is in it. */
  readonly error: number;
}

export interface ExtractedLora {
  readonly tensors: readonly TensorSource[];
  readonly layers: readonly ExtractedLayer[];
  /** Of all layers together. */
  readonly error: number;
  /** Biases and normalizations that changed: they are in the LoRA as they are. */
  readonly differences: readonly string[];
  /** What changed and cannot be in a LoRA. */
  readonly skipped: readonly Finding[];
}

export interface ExtractOptions {
  readonly truncation: Truncation;
  readonly dtype: WeightDtype;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress: (done: number, total: number, message: string) => void;
}

/**
 * Makes a LoRA of what two checkpoints differ by: of linear layers and convolutions by singular value decomposition (see `truncatedSvd`),
 * of biases and normalizations the difference itself, under kohya's and LyCORIS' names. Layers that did not change are left out. One
 * layer's matrices are in memory at a time, and the factors found.
 */
export async function extractLora(
  { pairs }: ModulePairs,
  products: MatrixProducts,
  { truncation, dtype, signal, onProgress }: ExtractOptions,
): Promise<ExtractedLora> {
  const tensors: TensorSource[] = [];
  const layers: ExtractedLayer[] = [];
  const differences: string[] = [];
  const skipped: Finding[] = [];
  let [dropped, total] = [0, 0];
  const files = new CheckpointDifference();
  const addDifference = async (name: string, pair: TensorPair | undefined): Promise<void> => {
    const change = pair && (await files.read(pair));
    if (!change) return;
    tensors.push(writtenTensor(name, writtenFactor(change, dtype, pair.base.shape)));
    differences.push(name);
  };
  try {
    for (const [index, { name, weight, bias, misfit }] of pairs.entries()) {
      throwIfCancelled(signal);
      onProgress(index, pairs.length, name);
      const isNorm = weight.base.shape.length === 1;
      if (isNorm) await addDifference(`${name}.w_norm`, weight);
      else {
        const change = await files.read(weight);
        if (change && misfit !== undefined) skipped.push({ name, reason: misfit });
        else if (change) {
          const layer = await extractLayer(name, weight, change, products, truncation, dtype);
          tensors.push(...layer.tensors);
          layers.push({ name, rank: layer.rank, error: relativeNorm(layer.dropped, layer.total) });
          dropped += layer.dropped;
          total += layer.total;
        }
      }
      await addDifference(`${name}.${isNorm ? "b_norm" : "diff_b"}`, bias);
    }
  } finally {
    await files.close();
  }
  return { tensors, layers, error: relativeNorm(dropped, total), differences, skipped };
}

async function extractLayer(
  name: ModulePair["name"],
  { base }: TensorPair,
  change: Float32Array,
  products: MatrixProducts,
  truncation: Truncation,
  dtype: WeightDtype,
) {
  const matrix = { ...matrixSize(base.shape), values: change };
  const { rank, up, down } = await truncatedSvd(products, matrix, truncation);
  const shapes = factorShapesOf(base.shape, rank);
  const factors = { up: writtenFactor(up, dtype, shapes.up), down: writtenFactor(down, dtype, shapes.down) };
  // With the factors as they are in the file, so that nothing is left out of the error.
  const [left, right] = [toFloat32(factors.up.bytes, dtype), toFloat32(factors.down.bytes, dtype)];
  const product = await products.multiply(
    { rows: matrix.rows, columns: rank, values: left },
    { rows: rank, columns: matrix.columns, values: right },
  );
  let dropped = 0;
  for (let i = 0; i < change.length; i++) dropped += (change[i]! - product.values[i]!) ** 2;
  return { tensors: loraTensors(name, factors.up, factors.down, rank), rank, dropped, total: sumOfSquares(change) };
}
