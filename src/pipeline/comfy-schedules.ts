import { betaQuantile } from "./incomplete-beta.ts";
import { nearestTimestep, sigmaAtTimestep, sigmaMax, sigmaMin, type ModelSampling } from "./model-sampling.ts";
import { roundHalfEven } from "./rounding.ts";

/** The schedules that ComfyUI computes (comfy/samplers.py; karras and exponential in comfy/k_diffusion/sampling.py). */
export const COMFY_SCHEDULES = ["normal", "karras", "exponential", "simple", "sgm_uniform", "beta", "ddim_uniform"] as const;
export type ComfySchedule = (typeof COMFY_SCHEDULES)[number];

/** ρ of arXiv:2206.00364. */
const KARRAS_RHO = 7;
/** Both shape parameters of "Beta Sampling is All You Need", arXiv:2407.12173. */
const BETA_SHAPE = 0.6;

/**
 * Falling sigmas, the last 0. Mostly steps + 1 of them; `ddim_uniform` takes every ⌊1000/steps⌋th timestep, which can give
 * more, and `beta` leaves out sigmas that would repeat: so does ComfyUI.
 */
export function comfySigmas(schedule: ComfySchedule, model: ModelSampling, steps: number): number[] {
  return [...SCHEDULES[schedule](model, steps), 0];
}

const SCHEDULES: Readonly<Record<ComfySchedule, (model: ModelSampling, steps: number) => number[]>> = {
  normal: (model, steps) => timestepRange(model, steps, steps),
  // As many steps as asked for, and one more that would be timestep 0 and is left out.
  sgm_uniform: (model, steps) => timestepRange(model, steps + 1, steps),
  karras,
  exponential,
  simple,
  beta,
  ddim_uniform: ddimUniform,
};

/** The sigmas of the first `count` of `points` evenly spaced timesteps from the noisiest to the cleanest. */
function timestepRange(model: ModelSampling, points: number, count: number): number[] {
  const first = nearestTimestep(model, sigmaMax(model));
  return ramp(points)
    .slice(0, count)
    .map((position) => sigmaAtTimestep(model, first * (1 - position)));
}

function karras(model: ModelSampling, steps: number): number[] {
  const largest = sigmaMax(model) ** (1 / KARRAS_RHO);
  const smallest = sigmaMin(model) ** (1 / KARRAS_RHO);
  return ramp(steps).map((position) => (largest + position * (smallest - largest)) ** KARRAS_RHO);
}

function exponential(model: ModelSampling, steps: number): number[] {
  const largest = Math.log(sigmaMax(model));
  const smallest = Math.log(sigmaMin(model));
  return ramp(steps).map((position) => Math.exp(largest + position * (smallest - largest)));
}

function simple(model: ModelSampling, steps: number): number[] {
  const { sigmas } = model;
  const stride = sigmas.length / steps;
  return Array.from({ length: steps }, (_, i) => sigmas[sigmas.length - 1 - Math.floor(i * stride)]!);
}

function beta(model: ModelSampling, steps: number): number[] {
  const last = model.sigmas.length - 1;
  const timesteps = Array.from({ length: steps }, (_, i) => roundHalfEven(betaQuantile(1 - i / steps, BETA_SHAPE, BETA_SHAPE) * last));
  return timesteps.filter((timestep, i) => timestep !== timesteps[i - 1]).map((timestep) => model.sigmas[timestep]!);
}

function ddimUniform(model: ModelSampling, steps: number): number[] {
  const { sigmas } = model;
  const stride = Math.max(Math.floor(sigmas.length / steps), 1);
  const result: number[] = [];
  for (let timestep = 1; timestep < sigmas.length; timestep += stride) result.push(sigmas[timestep]!);
  return result.toReversed();
}

/** `count` evenly spaced numbers from 0 to 1; a single one is 0. */
function ramp(count: number): number[] {
  return Array.from({ length: count }, (_, i) => (count === 1 ? 0 : i / (count - 1)));
}
