import { UserError } from "../formats/errors.ts";
import { comfySigmas, COMFY_SCHEDULES, type ComfySchedule } from "./comfy-schedules.ts";
import { combine } from "./host-latents.ts";
import {
  inputScale,
  linearSigmaAtTimestep,
  makeModelSampling,
  nearestTimestep,
  sigmaMax,
  TERMINAL_ALPHA_BAR,
  timestepAtSigma,
  type ModelSampling,
  type TrainingSchedule,
} from "./model-sampling.ts";
import type { SamplerName } from "./samplers/sampler.ts";
import { ddimLandingTimesteps, spacedTimesteps, type TimestepSpacing } from "./timestep-spacing.ts";

export type ScheduleName = ComfySchedule | TimestepSpacing;

/**
 * The noise levels of one run. The schedule's name decides whose rules hold for the whole run: ComfyUI's for its schedules,
 * those of the sampler's diffusers scheduler for leading, linspace and trailing. The two differ in the timesteps that the
 * model is called with (whole ones against the scheduler's own), in the initial noise, and in the variants of ddim and uni_pc.
 */
export interface SamplingSchedule {
  readonly reference: "comfyui" | "diffusers";
  readonly modelSampling: ModelSampling;
  /** Falling, one per model step, then 0. */
  readonly sigmas: readonly number[];
  /** What unit noise is multiplied by to start without an image. */
  readonly initialNoiseScale: number;
  /** The same to start from an image, to which the noise is added. */
  readonly imageNoiseScale: number;
  /** Where the steps of diffusers' DDIM land, in sigma, where that is not the next step's sigma. */
  readonly landings?: readonly number[];
  /** The timestep that the model is called with at a sigma of this schedule, or between two of them. */
  readonly timestepOf: (sigma: number) => number;
}

export interface ScheduleOptions {
  readonly schedule: ScheduleName;
  readonly sampler: SamplerName;
  readonly steps: number;
  /** How much of an image is replaced, over 0 up to 1; left out when there is no image. */
  readonly strength?: number;
  readonly training: TrainingSchedule;
}

/** An img2img run computes steps / strength sigmas; more than this is a strength too small to mean anything. */
const MAXIMUM_SIGMAS = 1_000_000;
/** The samplers whose next to last sigma ComfyUI leaves out, with one step more to make up for it. */
const WITHOUT_PENULTIMATE: readonly SamplerName[] = ["dpm_2", "uni_pc"];
/** The samplers whose diffusers schedulers keep the sample variance-preserving, so that it starts as unit noise. */
const VARIANCE_PRESERVING: readonly SamplerName[] = ["ddim", "dpmpp_2m", "dpmpp_2m_sde", "uni_pc", "lcm"];
/** Those of them that use ᾱ = 0 itself at zero terminal SNR. */
const EXACT_ZERO_SNR: readonly SamplerName[] = ["ddim", "lcm"];

/**
 * Computes the schedule of a run.
 * @throws UserError "option.invalid" for a number of steps or a strength that leaves no usable schedule.
 */
export function makeSchedule(options: ScheduleOptions): SamplingSchedule {
  const { steps, strength = 1 } = options;
  if (!Number.isInteger(steps) || steps < 1) {
    throw new UserError("option.invalid", `The number of steps must be a whole number from 1, not ${steps}.`);
  }
  if (!(strength > 0 && strength <= 1)) {
    throw new UserError("option.invalid", `The strength must be over 0 and at most 1, not ${strength}.`);
  }
  const { schedule } = options;
  return isComfySchedule(schedule) ? comfySchedule({ ...options, schedule }, strength) : spacedSchedule({ ...options, schedule }, strength);
}

function isComfySchedule(schedule: ScheduleName): schedule is ComfySchedule {
  return (COMFY_SCHEDULES as readonly string[]).includes(schedule);
}

/** ComfyUI: a strength below 1 runs the last `steps` of a schedule of steps / strength. */
function comfySchedule(options: ScheduleOptions & { schedule: ComfySchedule }, strength: number): SamplingSchedule {
  const { schedule, sampler, steps } = options;
  const total = Math.trunc(steps / strength);
  if (total > MAXIMUM_SIGMAS) {
    throw new UserError("option.invalid", `Strength ${strength} is too small for ${steps} steps; use at least ${steps / MAXIMUM_SIGMAS}.`);
  }
  const modelSampling = makeModelSampling(options.training, TERMINAL_ALPHA_BAR.comfyui);
  const full = WITHOUT_PENULTIMATE.includes(sampler)
    ? comfySigmas(schedule, modelSampling, total + 1).toSpliced(-2, 1)
    : comfySigmas(schedule, modelSampling, total);
  const sigmas = strength < 1 ? full.slice(-(steps + 1)) : full;
  if (sigmas.some((sigma, i) => i > 0 && sigma >= sigmas[i - 1]!)) {
    throw new UserError(
      "option.invalid",
      `Schedule "${schedule}" cannot make ${total} different steps; use fewer steps${strength < 1 ? " or a greater strength" : ""}.`,
    );
  }
  const largest = sigmaMax(modelSampling);
  const scale = sigmas[0]! > largest * (1 - 1e-5) ? 1 / inputScale(sigmas[0]!) : sigmas[0]!;
  return {
    reference: "comfyui",
    modelSampling,
    sigmas,
    initialNoiseScale: scale,
    imageNoiseScale: scale,
    timestepOf: (sigma) => nearestTimestep(modelSampling, sigma),
  };
}

/** diffusers: a strength below 1 runs the last ⌊steps·strength⌋ of the steps. */
function spacedSchedule(options: ScheduleOptions & { schedule: TimestepSpacing }, strength: number): SamplingSchedule {
  const { schedule, sampler, steps } = options;
  const run = Math.trunc(steps * strength);
  if (run < 1) {
    throw new UserError(
      "option.invalid",
      `Strength ${strength} leaves none of ${steps} steps; use a strength of at least ${Math.ceil(1000 / steps) / 1000} or more steps.`,
    );
  }
  const terminal = EXACT_ZERO_SNR.includes(sampler) ? TERMINAL_ALPHA_BAR.zero : TERMINAL_ALPHA_BAR.diffusers;
  const modelSampling = makeModelSampling(options.training, terminal);
  const timesteps = spacedTimesteps(sampler, schedule, steps).slice(-run);
  const sigmas = timesteps.map((timestep) => linearSigmaAtTimestep(modelSampling, timestep));
  const scheduled = new Map(sigmas.map((sigma, i) => [sigma, timesteps[i]!]));
  const unitVariance = VARIANCE_PRESERVING.includes(sampler) || schedule === "leading";
  return {
    reference: "diffusers",
    modelSampling,
    sigmas: [...sigmas, 0],
    initialNoiseScale: unitVariance ? 1 / inputScale(sigmas[0]!) : sigmas[0]!,
    imageNoiseScale: sigmas[0]!,
    ...(sampler === "ddim" ? { landings: ddimLandingTimesteps(timesteps, steps).map((timestep) => modelSampling.sigmas[timestep]!) } : {}),
    // Solvers also ask between the steps; there diffusers interpolates.
    timestepOf: (sigma) => scheduled.get(sigma) ?? timestepAtSigma(modelSampling, sigma),
  };
}

/**
 * The sample that a run starts from: scaled noise, or an image's latents (scaled as the model takes them) with noise added.
 * Both flat [B, C, h, w]; noise of unit variance.
 */
export function initialLatents(schedule: SamplingSchedule, noise: Float32Array, image?: Float32Array): Float32Array {
  if (!image) return combine([schedule.initialNoiseScale, noise]);
  if (image.length !== noise.length) {
    throw new UserError(
      "option.invalid",
      `The image's latents hold ${image.length} values, the noise ${noise.length}; they must be of one size.`,
    );
  }
  return combine([1, image], [schedule.imageNoiseScale, noise]);
}
