import type { LatentArithmetic, LatentTerm } from "../engines/latents.ts";

/**
 * Σ weight·vector of equally long vectors, element by element, summed in double precision and kept in single: a step's
 * rounding errors stay those of one conversion, however many terms it has.
 */
export function combine(...terms: readonly LatentTerm<Float32Array>[]): Float32Array {
  const result = new Float32Array(terms[0]![1].length);
  for (let i = 0; i < result.length; i++) {
    let sum = 0;
    for (const [weight, vector] of terms) sum += weight * vector[i]!;
    result[i] = sum;
  }
  return result;
}

/** Latents in arrays of the host; the garbage collector frees them. */
export const HOST_LATENTS: LatentArithmetic<Float32Array> = {
  fromHost: (values) => values,
  toHost: async (values) => values,
  combine,
  keepOnly: () => {},
};
