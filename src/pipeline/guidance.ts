import { combine } from "./host-latents.ts";

/** Classifier-free guidance (arXiv:2207.12598): negative + scale·(positive − negative). */
export function guide(negative: Float32Array, positive: Float32Array, scale: number): Float32Array {
  return combine([1 - scale, negative], [scale, positive]);
}

/**
 * CFG rescale, section 3.4 of arXiv:2305.08891, as diffusers computes it on the model's output: each sample of the batch is
 * given the standard deviation of its positive prediction, and `amount` (φ, 0–1) of that is mixed in.
 */
export function rescaleGuidance(guided: Float32Array, positive: Float32Array, batch: number, amount: number): Float32Array {
  const size = guided.length / batch;
  const result = new Float32Array(guided.length);
  for (let start = 0; start < guided.length; start += size) {
    const part = guided.subarray(start, start + size);
    const deviation = standardDeviation(part);
    // A constant prediction has nothing to scale.
    const ratio = deviation === 0 ? 1 : standardDeviation(positive.subarray(start, start + size)) / deviation;
    const factor = amount * ratio + (1 - amount);
    for (let i = 0; i < size; i++) result[start + i] = part[i]! * factor;
  }
  return result;
}

/** The sample standard deviation (divided by n − 1). */
function standardDeviation(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  const mean = sum / values.length;
  let squares = 0;
  for (const value of values) squares += (value - mean) ** 2;
  return values.length > 1 ? Math.sqrt(squares / (values.length - 1)) : 0;
}
