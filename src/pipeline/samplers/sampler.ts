import type { SamplingSchedule } from "../schedule.ts";

export const SAMPLERS = [
  "euler",
  "euler_ancestral",
  "heun",
  "dpm_2",
  "dpmpp_2m",
  "dpmpp_2m_sde",
  "dpmpp_sde",
  "ddim",
  "uni_pc",
  "lcm",
] as const;
export type SamplerName = (typeof SAMPLERS)[number];

/** The denoised sample x0 that the model sees in a sample x = x0 + sigma·noise; both flat [B, C, h, w]. */
export type Denoise = (x: Float32Array, sigma: number, signal?: AbortSignal) => Promise<Float32Array>;

/** What every sampler is handed. */
export interface SamplerRun {
  readonly schedule: SamplingSchedule;
  /** The sample at the schedule's first sigma. */
  readonly x: Float32Array;
  readonly denoise: (x: Float32Array, sigma: number) => Promise<Float32Array>;
  /** Unit-variance noise of the sample's size: one draw from the seeded stream. */
  readonly noise: () => Float32Array;
  /** To be called at the end of step `index`, from 0, with the step's first denoised sample. */
  readonly finishStep: (index: number, denoised: Float32Array) => void;
}

/** Takes a sample from the schedule's first sigma to its last. */
export type Sampler = (run: SamplerRun) => Promise<Float32Array>;
