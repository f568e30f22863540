import type { Combine, Sampler } from "./sampler.ts";

/*
 * UniPC (arXiv:2302.04867), multistep, predicting x0, on sigmas: λ = −ln σ and α = 1. ComfyUI runs B(h) = h with order 3
 * down to sigma 0.001; diffusers' UniPCMultistep runs B(h) = e^h − 1 with order 2 down to 0. The schedule says which.
 */

const COMFY_ORDER = 3;
const COMFY_LAST_SIGMA = 0.001;
const DIFFUSERS_ORDER = 2;

type Variant = "bh1" | "bh2";

/** A model output and the sigma it was made at. */
interface Evaluation<L> {
  readonly sigma: number;
  readonly denoised: L;
}

export const uniPc: Sampler = async ({ schedule, x, combine, denoise, finishStep }) => {
  const comfy = schedule.reference === "comfyui";
  const variant: Variant = comfy ? "bh1" : "bh2";
  const steps = schedule.sigmas.length - 1;
  // ComfyUI's order for so few steps; a single step is of order 1 here, where ComfyUI would return the noise.
  const maximumOrder = comfy ? Math.min(COMFY_ORDER, Math.max(steps - 1, 1)) : DIFFUSERS_ORDER;
  const sigmas = [...schedule.sigmas.slice(0, -1), comfy ? COMFY_LAST_SIGMA : 0];

  let history: Evaluation<typeof x>[] = [];
  let start = x;
  let order = 0;
  for (let i = 0; i < steps; i++) {
    const evaluation = { sigma: sigmas[i]!, denoised: await denoise(x, sigmas[i]!) };
    if (i > 0) x = update(combine, start, history.slice(0, order), evaluation.sigma, variant, evaluation.denoised);
    history = [evaluation, ...history].slice(0, maximumOrder);
    order = Math.min(maximumOrder, steps - i, i + 1);
    start = x;
    x = update(combine, start, history.slice(0, order), sigmas[i + 1]!, variant);
    await finishStep(i, evaluation.denoised, [x, start, ...history.map(({ denoised }) => denoised)]);
  }
  return x;
};

/**
 * Takes `x` from the newest evaluation's sigma to `target`: the predictor, or with `corrector`, the model output at the
 * target, the corrector. The order is the number of evaluations, the newest first.
 */
function update<L>(combine: Combine<L>, x: L, evaluations: readonly Evaluation<L>[], target: number, variant: Variant, corrector?: L): L {
  const [newest, ...older] = evaluations as [Evaluation<L>, ...Evaluation<L>[]];
  if (target === 0) return newest.denoised;
  const h = Math.log(newest.sigma / target);
  const scale = variant === "bh1" ? -h : Math.expm1(-h);
  const ratios = older.map(({ sigma }) => Math.log(newest.sigma / sigma) / h);
  const others = older.map(({ denoised }) => denoised);
  if (corrector !== undefined) {
    ratios.push(1);
    others.push(corrector);
  }
  const weights = solverWeights(ratios, h, scale);

  // x·σ'/σ − (e^−h − 1)·x0 − B(h)·Σ weight·(x0_k − x0) / ratio_k
  let newestWeight = -Math.expm1(-h);
  const terms: [number, L][] = others.map((denoised, k) => {
    const weight = (-scale * weights[k]!) / ratios[k]!;
    newestWeight -= weight;
    return [weight, denoised];
  });
  return combine([target / newest.sigma, x], [newestWeight, newest.denoised], ...terms);
}

/** The ρ of theorem 3.1: Σ_k ρ_k·ratio_k^(n−1) = φ_{n+1}·n! / B(h), n = 1 … K; one term alone takes ½, as the authors do. */
function solverWeights(ratios: readonly number[], h: number, scale: number): number[] {
  if (ratios.length <= 1) return ratios.map(() => 0.5);
  const right: number[] = [];
  let phi = Math.expm1(-h) / -h - 1;
  let factorial = 1;
  for (let n = 1; n <= ratios.length; n++) {
    right.push((phi * factorial) / scale);
    factorial *= n + 1;
    phi = phi / -h - 1 / factorial;
  }
  return solve(
    ratios.map((_, n) => ratios.map((ratio) => ratio ** n)),
    right,
  );
}

/** Solves a small system of linear equations by Gauss-Jordan elimination with row pivoting. */
function solve(matrix: readonly (readonly number[])[], right: readonly number[]): number[] {
  const rows = matrix.map((row, i) => [...row, right[i]!]);
  for (let column = 0; column < rows.length; column++) {
    let best = column;
    for (let i = column + 1; i < rows.length; i++) {
      if (Math.abs(rows[i]![column]!) > Math.abs(rows[best]![column]!)) best = i;
    }
    [rows[column], rows[best]] = [rows[best]!, rows[column]!];
    const pivot = rows[column]!;
    for (const row of rows) {
      if (row === pivot) continue;
      const factor = row[column]! / pivot[column]!;
      for (let j = column; j < row.length; j++) row[j] = row[j]! - factor * pivot[j]!;
    }
  }
  return rows.map((row, i) => row[rows.length]! / row[i]!);
}
