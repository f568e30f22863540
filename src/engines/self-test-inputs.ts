import type { OnnxValue } from "../formats/onnx.ts";
import { elementCount } from "../formats/tensor.ts";
import type { Inputs } from "./engine.ts";

/** In the middle of the schedule. */
const TIMESTEP = 500;

/** mulberry32 (Tommy Ettinger, 2017): the same numbers on every machine, uniform in [0, 1). */
function uniformNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Numbers of the kind that a network meets: token numbers, one time step, a picture in [-1, 1], and unit-variance noise for all else.
 * @param shapes of each input
 * @param vocabulary how many tokens a text encoder knows
 */
export function selfTestInputs(
  inputs: readonly OnnxValue[],
  shapes: Readonly<Record<string, readonly number[]>>,
  vocabulary: number,
): Inputs {
  const uniform = uniformNumbers(1);
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  const valueOf = (name: string, dims: readonly number[]): (() => number) => {
    if (name === "timesteps") return () => TIMESTEP;
    if (name === "input_ids") return () => Math.floor(uniform() * vocabulary);
    if (name === "end_positions") return () => (shapes["input_ids"]?.[1] ?? dims[0]!) - 1;
    return name === "image" ? () => 2 * uniform() - 1 : normal;
  };
  return Object.fromEntries(
    inputs.map(({ name, dtype }) => {
      const dims = [...shapes[name]!];
      const value = valueOf(name, dims);
      const length = elementCount(dims);
      const tensor =
        dtype === "I32" ? { dims, data: Int32Array.from({ length }, value) } : { dims, data: Float32Array.from({ length }, value) };
      return [name, tensor];
    }),
  );
}
