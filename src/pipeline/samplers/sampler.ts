import type { LatentArithmetic } from "../../engines/latents.ts";
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
export type Denoise<L = Float32Array> = (x: L, sigma: number, signal?: AbortSignal) => Promise<L>;

export type Combine<L> = LatentArithmetic<L>["combine"];

/** What every sampler is handed; `L` is how the latents are kept. */
export interface SamplerRun<L> {
  readonly schedule: SamplingSchedule;
  /** The sample at the schedule's first sigma. */
  readonly x: L;
  readonly combine: Combine<L>;
  readonly denoise: (x: L, sigma: number) => Promise<L>;
  /** Unit-variance noise of the sample's size: one draw from the seeded stream. */
  readonly noise: () => L;
  /**
   * To be awaited at the end of step `index`, from 0, with the step's first denoised sample and whatever later steps need, the
   * sample itself among it: all else is freed.
   */
  readonly finishStep: (index: number, denoised: L, kept: readonly L[]) => Promise<void>;
}

/** Takes a sample from the schedule's first sigma to its last. */
export type Sampler = <L>(run: SamplerRun<L>) => Promise<L>;
