import { UserError } from "../formats/errors.ts";

/** One part of a linear combination. */
export type LatentTerm<L> = readonly [weight: number, latents: L];

/** Arithmetic on latents, flat [B, C, h, w], wherever they are kept: `L` is an array of the host or stands for memory of a GPU. */
export interface LatentArithmetic<L> {
  fromHost(values: Float32Array): L;
  /** The values, once all that was asked for before is done. */
  toHost(latents: L): Promise<Float32Array>;
  /** Σ weight·latents, element by element, summed in double precision in the order of the terms, and kept in single. */
  combine(...terms: readonly LatentTerm<L>[]): L;
  /** Frees all latents that were made here but these; whoever uses one of the others afterwards is in error. */
  keepOnly(latents: readonly L[]): void;
}

/**
 * The numbers of one model call: the network is given inputScale·x and the timestep, its output is guided, and the denoised sample is
 * skip·x + out·prediction.
 */
export interface DenoisingStep {
  readonly inputScale: number;
  readonly timestep: number;
  /** The guidance scale. Exactly 1: the positives are run alone. */
  readonly cfg: number;
  /** φ of CFG rescale (section 3.4 of arXiv:2305.08891). */
  readonly cfgRescale: number;
  readonly skip: number;
  readonly out: number;
}

/** What a network gave at a timestep has NaN or infinite values. */
export function notFiniteError(timestep: number): UserError {
  return new UserError(
    "engine.failed",
    `The UNet gave NaN or infinite values at timestep ${timestep}; check the LoRA scales, or export with --precision bf16 or fp32.`,
  );
}
