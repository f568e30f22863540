import { UserError } from "../formats/errors.ts";
import { TRAINING_STEPS } from "./model-sampling.ts";
import { roundHalfEven } from "./rounding.ts";
import type { SamplerName } from "./samplers/sampler.ts";

/** diffusers' `timestep_spacing` (table 2 of arXiv:2305.08891). */
export const TIMESTEP_SPACINGS = ["leading", "linspace", "trailing"] as const;
export type TimestepSpacing = (typeof TIMESTEP_SPACINGS)[number];

/** "leading" would end at timestep 0; Stable Diffusion's schedulers add one. */
const STEPS_OFFSET = 1;
/** LCMScheduler's `original_inference_steps`: the steps of the DDIM solver that a consistency model was distilled from. */
const DISTILLATION_STEPS = 50;

/** How the diffusers scheduler that belongs to a sampler lays out its timesteps. */
type Layout =
  /** Euler, Euler ancestral, Heun, KDPM2, DPMSolverSDE: "linspace" is fractional. */
  | "fractional"
  /** DDIM: whole timesteps. */
  | "whole"
  /** DPMSolverMultistep and UniPC: whole timesteps of a range one longer, whose end is left out. */
  | "openEnded"
  /** LCM: some of the distillation's timesteps, whatever the spacing. */
  | "distillation";

const LAYOUT: Readonly<Record<SamplerName, Layout>> = {
  euler: "fractional",
  euler_ancestral: "fractional",
  heun: "fractional",
  dpm_2: "fractional",
  dpmpp_sde: "fractional",
  ddim: "whole",
  dpmpp_2m: "openEnded",
  dpmpp_2m_sde: "openEnded",
  uni_pc: "openEnded",
  lcm: "distillation",
};

/**
 * The falling timesteps that the sampler's diffusers 0.42 scheduler sets for a number of steps (`steps_offset` 1).
 * @throws UserError "option.invalid" where there are not so many different timesteps.
 */
export function spacedTimesteps(sampler: SamplerName, spacing: TimestepSpacing, steps: number): number[] {
  const layout = LAYOUT[sampler];
  if (layout === "distillation") return distillationTimesteps(steps);
  const timesteps = SPACINGS[spacing](steps, layout);
  if (timesteps.some((timestep, i) => timestep < 0 || timestep >= TRAINING_STEPS || (i > 0 && timestep >= timesteps[i - 1]!))) {
    throw new UserError(
      "option.invalid",
      `Schedule "${spacing}" cannot make ${steps} different steps for sampler "${sampler}" out of ${TRAINING_STEPS}; use fewer steps.`,
    );
  }
  return timesteps;
}

const SPACINGS: Readonly<Record<TimestepSpacing, (steps: number, layout: Layout) => number[]>> = {
  leading(steps, layout) {
    const points = layout === "openEnded" ? steps + 1 : steps;
    const stride = Math.floor(TRAINING_STEPS / points);
    return falling(points, (i) => i * stride + STEPS_OFFSET).slice(0, steps);
  },
  linspace(steps, layout) {
    const points = layout === "openEnded" ? steps + 1 : steps;
    const stride = points === 1 ? 0 : (TRAINING_STEPS - 1) / (points - 1);
    // diffusers keeps fractional timesteps in single precision.
    const place = layout === "fractional" ? Math.fround : roundHalfEven;
    return falling(points, (i) => place(i * stride)).slice(0, steps);
  },
  trailing(steps) {
    // NumPy's arange counts with the difference of its first two values; its rounding decides exact halves.
    const stride = TRAINING_STEPS - TRAINING_STEPS / steps - TRAINING_STEPS;
    return Array.from({ length: steps }, (_, i) => roundHalfEven(TRAINING_STEPS + i * stride) - 1);
  },
};

function falling(count: number, value: (index: number) => number): number[] {
  return Array.from({ length: count }, (_, i) => value(count - 1 - i));
}

function distillationTimesteps(steps: number): number[] {
  if (steps > DISTILLATION_STEPS) {
    throw new UserError(
      "option.invalid",
      `Sampler "lcm" takes at most ${DISTILLATION_STEPS} steps with the schedules leading, linspace and trailing, not ${steps}; use fewer steps.`,
    );
  }
  const stride = TRAINING_STEPS / DISTILLATION_STEPS;
  return Array.from({ length: steps }, (_, i) => (DISTILLATION_STEPS - Math.floor((i * DISTILLATION_STEPS) / steps)) * stride - 1);
}

/**
 * The timestep where each DDIM step lands: diffusers goes down by ⌊1000/steps⌋, which is not always the next step's
 * timestep, and at the end stops at timestep 0 (`set_alpha_to_one` false, as in Stable Diffusion's scheduler configurations).
 */
export function ddimLandingTimesteps(timesteps: readonly number[], steps: number): number[] {
  return timesteps.map((timestep) => Math.max(timestep - Math.floor(TRAINING_STEPS / steps), 0));
}
