import { ancestralStep, eulerStep } from "./euler.ts";
import type { Sampler } from "./sampler.ts";

/*
 * DPM-Solver++ (arXiv:2211.01095) on sigmas: λ = −ln σ, and with x = x0 + σ·noise its α is 1. A step from σ to σ' has
 * h = ln(σ / σ') and e^−h = σ' / σ.
 */

/** What the multistep solvers correct x0 by: Δx0 / (2r), r = h_last / h; nothing in the first step and in the last. */
function extrapolationWeight(sigmas: readonly number[], i: number): number {
  if (i === 0 || sigmas[i + 1] === 0) return 0;
  const step = Math.log(sigmas[i]! / sigmas[i + 1]!);
  const lastStep = Math.log(sigmas[i - 1]! / sigmas[i]!);
  return step / (2 * lastStep);
}

/** DPM-Solver++(2M), midpoint. diffusers: DPMSolverMultistep with "dpmsolver++", order 2. */
export const dpmpp2m: Sampler = async ({ schedule: { sigmas }, x, combine, denoise, finishStep }) => {
  let previous: typeof x | undefined;
  for (let i = 0; i < sigmas.length - 1; i++) {
    const denoised = await denoise(x, sigmas[i]!);
    const weight = extrapolationWeight(sigmas, i);
    const ratio = sigmas[i + 1]! / sigmas[i]!;
    x = combine([ratio, x], [(1 - ratio) * (1 + weight), denoised], [(ratio - 1) * weight, previous ?? denoised]);
    previous = denoised;
    await finishStep(i, denoised, [x, previous]);
  }
  return x;
};

/** DPM-Solver++(2M) SDE, midpoint, η = 1. diffusers: DPMSolverMultistep with "sde-dpmsolver++". */
export const dpmpp2mSde: Sampler = async ({ schedule: { sigmas }, x, combine, denoise, noise, finishStep }) => {
  let previous: typeof x | undefined;
  for (let i = 0; i < sigmas.length - 1; i++) {
    const denoised = await denoise(x, sigmas[i]!);
    const weight = extrapolationWeight(sigmas, i);
    const decay = (sigmas[i + 1]! / sigmas[i]!) ** 2;
    x = combine([decay, x], [(1 - decay) * (1 + weight), denoised], [(decay - 1) * weight, previous ?? denoised]);
    if (sigmas[i + 1]! > 0) x = combine([1, x], [sigmas[i + 1]! * Math.sqrt(1 - decay), noise()]);
    previous = denoised;
    await finishStep(i, denoised, [x, previous]);
  }
  return x;
};

/**
 * DPM-Solver++ SDE with the midpoint r = 1/2, η = 1; two model calls a step, one in the last. diffusers: DPMSolverSDE.
 *
 * The noise of the half step and that of the whole step belong to one Brownian path: the whole step's increment is the sum
 * of those of its halves. Two independent draws a step make such a path, as a Brownian tree would.
 */
export const dpmppSde: Sampler = async ({ schedule: { sigmas }, x, combine, denoise, noise, finishStep }) => {
  for (let i = 0; i < sigmas.length - 1; i++) {
    const sigma = sigmas[i]!;
    const next = sigmas[i + 1]!;
    const denoised = await denoise(x, sigma);
    if (next === 0) {
      x = denoised;
    } else {
      const middle = Math.sqrt(sigma * next);
      const firstNoise = noise();
      const half = ancestralStep(sigma, middle);
      const predicted = combine([1, eulerStep(combine, x, denoised, sigma, half.down)], [half.up, firstNoise]);
      const denoisedMiddle = await denoise(predicted, middle);
      const share = (sigma - middle) / (sigma - next);
      const whole = ancestralStep(sigma, next);
      x = combine(
        [1, eulerStep(combine, x, denoisedMiddle, sigma, whole.down)],
        [whole.up * Math.sqrt(share), firstNoise],
        [whole.up * Math.sqrt(1 - share), noise()],
      );
    }
    await finishStep(i, denoised, [x]);
  }
  return x;
};
