import { inputScale } from "../model-sampling.ts";
import { eulerStep } from "./euler.ts";
import type { Sampler } from "./sampler.ts";

/**
 * DDIM with η = 0 (arXiv:2010.02502). On sigmas it is Euler's method, and that is what ComfyUI runs. diffusers' DDIM may
 * land beside the next step's timestep (`landings`); it keeps the variance-preserving sample, so the sample here is scaled
 * from the one sigma to the other.
 */
export const ddim: Sampler = async ({ schedule: { sigmas, landings }, x, combine, denoise, finishStep }) => {
  for (let i = 0; i < sigmas.length - 1; i++) {
    const denoised = await denoise(x, sigmas[i]!);
    const next = sigmas[i + 1]!;
    const landing = landings?.[i] ?? next;
    x = eulerStep(combine, x, denoised, sigmas[i]!, landing);
    if (landing !== next) x = combine([inputScale(landing) / inputScale(next), x]);
    await finishStep(i, denoised, [x]);
  }
  return x;
};
