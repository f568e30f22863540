import { notFiniteError, type DenoisingStep } from "../engines/latents.ts";
import { UserError } from "../formats/errors.ts";
import { guide, rescaleGuidance } from "./guidance.ts";
import { combine } from "./host-latents.ts";
import { denoisedWeights, inputScale } from "./model-sampling.ts";
import type { Denoise } from "./samplers/sampler.ts";
import type { SamplingSchedule } from "./schedule.ts";

/** One call of the UNet. */
export interface PredictionInput {
  /** Network input, flat [n, C, h, w], already scaled by 1 / sqrt(sigma² + 1). */
  readonly x: Float32Array;
  /** [n], all the same. */
  readonly timesteps: Float32Array;
  /**
   * Whether the batch is the negatives followed by the positives (n = 2·B), to be run with both conditionings in that
   * order, or the positives alone (n = B).
   */
  readonly withNegatives: boolean;
  readonly signal?: AbortSignal;
}

/** What turns a model's output into a denoised sample, besides the sigma. */
export interface GuidanceOptions {
  readonly schedule: SamplingSchedule;
  /** The guidance scale; at exactly 1 the negatives have no effect and are not run. */
  readonly cfg: number;
  /** φ of `rescaleGuidance`; 0 leaves the prediction as it is. */
  readonly cfgRescale?: number;
}

export interface DenoiserOptions extends GuidanceOptions {
  /** Runs the UNet; its output (noise or velocity, by the model's prediction) has the shape of `x`. */
  readonly predict: (input: PredictionInput) => Promise<Float32Array>;
  /** Images made at once: the samples in x. */
  readonly batch: number;
}

/** The numbers of a model call at a sigma. */
export function denoisingStep({ schedule, cfg, cfgRescale = 0 }: GuidanceOptions, sigma: number): DenoisingStep {
  const weights = denoisedWeights(schedule.modelSampling.prediction, sigma);
  return { inputScale: inputScale(sigma), timestep: schedule.timestepOf(sigma), cfg, cfgRescale, ...weights };
}

/**
 * Makes the samplers' denoiser out of a UNet: scales the input, calls it once with negatives and positives in one batch,
 * guides, and turns the prediction into the denoised sample.
 * @throws UserError "engine.failed" when the UNet gives NaN or infinite values, or too few or too many.
 */
export function makeDenoiser({ predict, batch, ...guidance }: DenoiserOptions): Denoise {
  return async (x, sigma, signal) => {
    const step = denoisingStep(guidance, sigma);
    const withNegatives = step.cfg !== 1;
    const scaled = combine([step.inputScale, x]);
    const output = await predict({
      x: withNegatives ? twice(scaled) : scaled,
      timesteps: new Float32Array(withNegatives ? 2 * batch : batch).fill(step.timestep),
      withNegatives,
      ...(signal ? { signal } : {}),
    });
    checkOutput(output, withNegatives ? 2 * x.length : x.length, step.timestep);
    const prediction = withNegatives ? guidedPrediction(output, batch, step) : output;
    return combine([step.skip, x], [step.out, prediction]);
  };
}

function guidedPrediction(output: Float32Array, batch: number, { cfg, cfgRescale }: DenoisingStep): Float32Array {
  const half = output.length / 2;
  const positive = output.subarray(half);
  const guided = guide(output.subarray(0, half), positive, cfg);
  return cfgRescale > 0 ? rescaleGuidance(guided, positive, batch, cfgRescale) : guided;
}

function twice(x: Float32Array): Float32Array {
  const result = new Float32Array(2 * x.length);
  result.set(x);
  result.set(x, x.length);
  return result;
}

function checkOutput(output: Float32Array, expected: number, timestep: number): void {
  if (output.length !== expected) {
    throw new UserError("engine.failed", `The UNet gave ${output.length} values instead of ${expected}; export the engine again.`);
  }
  if (!output.every(Number.isFinite)) throw notFiniteError(timestep);
}
