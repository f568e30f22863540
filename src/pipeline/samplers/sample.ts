import type { LatentArithmetic } from "../../engines/latents.ts";
import { throwIfCancelled } from "../../formats/errors.ts";
import type { SamplingSchedule } from "../schedule.ts";
import { ddim } from "./ddim.ts";
import { dpmpp2m, dpmpp2mSde, dpmppSde } from "./dpm-solver.ts";
import { dpm2, euler, eulerAncestral, heun } from "./euler.ts";
import { lcm } from "./lcm.ts";
import type { Denoise, Sampler, SamplerName } from "./sampler.ts";
import { uniPc } from "./uni-pc.ts";

const SAMPLER: Readonly<Record<SamplerName, Sampler>> = {
  euler,
  euler_ancestral: eulerAncestral,
  heun,
  dpm_2: dpm2,
  dpmpp_2m: dpmpp2m,
  dpmpp_2m_sde: dpmpp2mSde,
  dpmpp_sde: dpmppSde,
  ddim,
  uni_pc: uniPc,
  lcm,
};

export interface SampleOptions<L> {
  readonly denoise: Denoise<L>;
  /** From `makeSchedule`, for the same sampler. */
  readonly schedule: SamplingSchedule;
  /** The sample at the schedule's first sigma, flat [B, C, h, w] (`initialLatents`). Its values are not changed. */
  readonly x: L;
  /**
   * Unit-variance noise for the stochastic samplers, from the seeded stream that gave the initial noise. One draw of the
   * whole batch per step that adds noise; two for `dpmpp_sde`. The last step adds none.
   */
  readonly randn: (count: number) => Float32Array;
  /** Called after each step: how many of `total` are done, and the step's denoised sample, for a preview; awaited. */
  readonly onStep?: (done: number, total: number, denoised: L) => void | Promise<void>;
  readonly signal?: AbortSignal;
}

/**
 * Runs a sampler over its schedule and returns the latents at the schedule's end, flat [B, C, h, w].
 * Each sampler is what the schedule's reference (ComfyUI or diffusers) computes under that name.
 * @param place how the latents are kept, and how many numbers they are; all that it made but the result is freed
 * @throws UserError "cancelled" before the next model call once the signal is aborted.
 */
export function sample<L>(
  sampler: SamplerName,
  options: SampleOptions<L>,
  { arithmetic, count }: { readonly arithmetic: LatentArithmetic<L>; readonly count: number },
): Promise<L> {
  const { schedule, x, signal } = options;
  const total = schedule.sigmas.length - 1;
  return SAMPLER[sampler]({
    schedule,
    x,
    combine: (...terms) => arithmetic.combine(...terms),
    denoise: async (at, sigma) => {
      throwIfCancelled(signal);
      const denoised = await options.denoise(at, sigma, signal);
      throwIfCancelled(signal);
      return denoised;
    },
    noise: () => arithmetic.fromHost(options.randn(count)),
    finishStep: async (index, denoised, kept) => {
      await options.onStep?.(index + 1, total, denoised);
      arithmetic.keepOnly(kept);
    },
  });
}
