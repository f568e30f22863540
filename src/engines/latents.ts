import { UserError } from "../formats/errors.ts";
import type { RgbImage } from "../formats/rgb-image.ts";
import type { Tensor } from "../formats/tensor.ts";

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

/** Stands for latents in a GPU's memory. */
export type DeviceLatents = object;

/** What stays the same in all steps of a sampling on a GPU. */
export interface DeviceSamplingRequest {
  /** Of the latents: [B, C, h, w]. */
  readonly dims: readonly number[];
  /** Whether the UNet is run with the negatives' rows before the positives'. */
  readonly isGuided: boolean;
  /** The UNet's inputs besides the latents and the timesteps. */
  readonly inputs: Readonly<Record<string, Tensor>>;
}

/**
 * A sampling whose latents stay on the GPU: host memory comes in with `fromHost` and goes out with `toHost` alone. Its arithmetic gives the
 * bits of the host's, but for the sums of CFG rescale.
 */
export interface DeviceSampling extends LatentArithmetic<DeviceLatents> {
  /**
   * One call of the UNet with its guidance. The GPU may be one call behind: `notFiniteError` of a call may come with the next, or with
   * `toHost`.
   */
  denoise(latents: DeviceLatents, step: DenoisingStep): Promise<DeviceLatents>;
  /**
   * The picture that the VAE decoder makes of one image's latents / scale + shift, its levels as `imagesFromTensor` (src/pipeline) rounds
   * them.
   * @throws `decoderNanError`
   */
  decode(latents: DeviceLatents, image: number, unscale: { readonly scale: number; readonly shift: number }): Promise<RgbImage>;
  /** Frees the GPU's memory, once what still runs is done; to be called whatever happened. */
  close(): Promise<void>;
}

/** What a network gave at a timestep has NaN or infinite values. */
export function notFiniteError(timestep: number): UserError {
  return new UserError(
    "engine.failed",
    `The UNet gave NaN or infinite values at timestep ${timestep}; check the LoRA scales, or export with --precision bf16 or fp32.`,
  );
}

export function decoderNanError(): UserError {
  return new UserError("engine.failed", "The VAE decoder gave values that are not numbers (NaN): export the engine with --precision fp32.");
}
