import { fromFloat32, type WeightDtype } from "../formats/numbers.ts";
import type { TensorSource } from "../formats/safetensors-writer.ts";

/** A factor as it is written. */
export interface WrittenFactor {
  readonly dtype: WeightDtype;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

export function writtenFactor(values: Float32Array, dtype: WeightDtype, shape: readonly number[]): WrittenFactor {
  return { dtype, shape, bytes: fromFloat32(values, dtype) };
}

export function writtenTensor(name: string, { dtype, shape, bytes }: WrittenFactor): TensorSource {
  return { name, dtype, shape, chunks: () => [bytes] };
}

/** The tensors of one module of a LoRA under kohya's names; the change is alpha / rank · up·down. */
export function loraTensors(module: string, up: WrittenFactor, down: WrittenFactor, alpha: number): TensorSource[] {
  return [
    writtenTensor(`${module}.alpha`, writtenFactor(Float32Array.of(alpha), "F32", [])),
    writtenTensor(`${module}.lora_down.weight`, down),
    writtenTensor(`${module}.lora_up.weight`, up),
  ];
}

/** The shapes of a module's factors of this rank: of a convolution, down has the kernel and up is 1×1. */
export function factorShapesOf(
  weight: readonly number[],
  rank: number,
): { readonly up: readonly number[]; readonly down: readonly number[] } {
  const [rows = 1, ...rest] = weight;
  return { up: [rows, rank, ...rest.slice(1).map(() => 1)], down: [rank, ...rest] };
}
