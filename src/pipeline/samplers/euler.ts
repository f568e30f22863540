import type { Combine, Sampler } from "./sampler.ts";

/*
 * Solvers of the probability-flow ODE dx/dσ = (x − x0) / σ, as k-diffusion names them. diffusers: EulerDiscrete,
 * EulerAncestralDiscrete, HeunDiscrete, KDPM2Discrete.
 */

/** The sample on the straight line from x (at `sigma`) towards x0 (at 0), where it reaches `target`. */
export function eulerStep<L>(combine: Combine<L>, x: L, denoised: L, sigma: number, target: number): L {
  const ratio = target / sigma;
  return combine([ratio, x], [1 - ratio, denoised]);
}

/** Euler's method: algorithm 1 of arXiv:2206.00364 without the correction. */
export const euler: Sampler = async ({ schedule: { sigmas }, x, combine, denoise, finishStep }) => {
  for (let i = 0; i < sigmas.length - 1; i++) {
    const denoised = await denoise(x, sigmas[i]!);
    x = eulerStep(combine, x, denoised, sigmas[i]!, sigmas[i + 1]!);
    await finishStep(i, denoised, [x]);
  }
  return x;
};

/** How far an ancestral step (η = 1) goes down without noise, and how much noise then brings it up to `target`. */
export function ancestralStep(sigma: number, target: number): { readonly down: number; readonly up: number } {
  const up = Math.min(target, (target * Math.sqrt(sigma ** 2 - target ** 2)) / sigma);
  return { down: Math.sqrt(target ** 2 - up ** 2), up };
}

/** Euler's method with ancestral noise; no noise in the last step. */
export const eulerAncestral: Sampler = async ({ schedule: { sigmas }, x, combine, denoise, noise, finishStep }) => {
  for (let i = 0; i < sigmas.length - 1; i++) {
    const denoised = await denoise(x, sigmas[i]!);
    const { down, up } = ancestralStep(sigmas[i]!, sigmas[i + 1]!);
    x = eulerStep(combine, x, denoised, sigmas[i]!, down);
    if (up > 0) x = combine([1, x], [up, noise()]);
    await finishStep(i, denoised, [x]);
  }
  return x;
};

/** Heun's method: algorithm 1 of arXiv:2206.00364; two model calls a step, one in the last. */
export const heun: Sampler = async ({ schedule: { sigmas }, x, combine, denoise, finishStep }) => {
  for (let i = 0; i < sigmas.length - 1; i++) {
    const sigma = sigmas[i]!;
    const next = sigmas[i + 1]!;
    const denoised = await denoise(x, sigma);
    const predicted = eulerStep(combine, x, denoised, sigma, next);
    if (next === 0) {
      x = predicted;
    } else {
      const denoisedNext = await denoise(predicted, next);
      const half = (next - sigma) / 2;
      x = combine([1 + half / sigma, x], [-half / sigma, denoised], [half / next, predicted], [-half / next, denoisedNext]);
    }
    await finishStep(i, denoised, [x]);
  }
  return x;
};

/** DPM-Solver-2 in the form of k-diffusion's `dpm_2`: the slope at the geometric middle; two model calls a step, one in the last. */
export const dpm2: Sampler = async ({ schedule: { sigmas }, x, combine, denoise, finishStep }) => {
  for (let i = 0; i < sigmas.length - 1; i++) {
    const sigma = sigmas[i]!;
    const next = sigmas[i + 1]!;
    const denoised = await denoise(x, sigma);
    if (next === 0) {
      x = denoised;
    } else {
      const middle = Math.sqrt(sigma * next);
      const predicted = eulerStep(combine, x, denoised, sigma, middle);
      const slope = (next - sigma) / middle;
      x = combine([1, x], [slope, predicted], [-slope, await denoise(predicted, middle)]);
    }
    await finishStep(i, denoised, [x]);
  }
  return x;
};
