import type { ModelConfiguration, Prediction } from "../models/configuration.ts";

/** The noise schedule that a model was trained with, and what it predicts. */
export type TrainingSchedule = Pick<ModelConfiguration, "prediction" | "betaStart" | "betaEnd" | "zeroTerminalSnr">;

/**
 * A discrete noise schedule in the variance-exploding form: a sample at `sigma` is x0 + sigma·noise. `sigmas` rise with the
 * timestep, which is the index (0–999).
 */
export interface ModelSampling {
  readonly prediction: Prediction;
  readonly sigmas: Float64Array;
  readonly logSigmas: Float64Array;
}

export const TRAINING_STEPS = 1000;

/**
 * What stands for ᾱ = 0 at the last timestep of a zero-terminal-SNR schedule, where sigma would be infinite. ComfyUI and
 * diffusers each chose a value of their own; diffusers' DDIM and LCM use exactly 0, which 1e-16 equals to single precision.
 */
export const TERMINAL_ALPHA_BAR = { comfyui: 4.8973451890853435e-8, diffusers: 2 ** -24, zero: 1e-16 } as const;

/** Makes the table of sigmas: sqrt((1 - ᾱ) / ᾱ) of the "scaled linear" betas. */
export function makeModelSampling(training: TrainingSchedule, terminalAlphaBar: number = TERMINAL_ALPHA_BAR.comfyui): ModelSampling {
  const alphaBars = scaledLinearAlphaBars(training.betaStart, training.betaEnd);
  if (training.zeroTerminalSnr) rescaleZeroTerminalSnr(alphaBars, terminalAlphaBar);
  const sigmas = alphaBars.map((alphaBar) => Math.sqrt((1 - alphaBar) / alphaBar));
  return { prediction: training.prediction, sigmas, logSigmas: sigmas.map(Math.log) };
}

/** ᾱ_t = Π (1 - β): the square roots of β are evenly spaced (latent diffusion, arXiv:2112.10752). */
function scaledLinearAlphaBars(betaStart: number, betaEnd: number): Float64Array {
  const first = Math.sqrt(betaStart);
  const step = (Math.sqrt(betaEnd) - first) / (TRAINING_STEPS - 1);
  const alphaBars = new Float64Array(TRAINING_STEPS);
  let product = 1;
  for (let t = 0; t < TRAINING_STEPS; t++) {
    product *= 1 - (first + t * step) ** 2;
    alphaBars[t] = product;
  }
  return alphaBars;
}

/** Algorithm 1 of arXiv:2305.08891: shifts and scales sqrt(ᾱ) so that its last value is 0 and its first is kept. */
function rescaleZeroTerminalSnr(alphaBars: Float64Array, terminalAlphaBar: number): void {
  const last = alphaBars.length - 1;
  const rootFirst = Math.sqrt(alphaBars[0]!);
  const rootLast = Math.sqrt(alphaBars[last]!);
  const scale = rootFirst / (rootFirst - rootLast);
  for (let t = 0; t < last; t++) alphaBars[t] = ((Math.sqrt(alphaBars[t]!) - rootLast) * scale) ** 2;
  alphaBars[last] = terminalAlphaBar;
}

export function sigmaMin(model: ModelSampling): number {
  return model.sigmas[0]!;
}

export function sigmaMax(model: ModelSampling): number {
  return model.sigmas[model.sigmas.length - 1]!;
}

/** The sigma of a fractional timestep, interpolated in log sigma (k-diffusion, ComfyUI); clamped to the table. */
export function sigmaAtTimestep(model: ModelSampling, timestep: number): number {
  return Math.exp(interpolate(model.logSigmas, timestep));
}

/** The sigma of a fractional timestep, interpolated in sigma itself, as diffusers does. */
export function linearSigmaAtTimestep(model: ModelSampling, timestep: number): number {
  return interpolate(model.sigmas, timestep);
}

function interpolate(table: Float64Array, position: number): number {
  const clamped = Math.min(Math.max(position, 0), table.length - 1);
  const low = Math.floor(clamped);
  const weight = clamped - low;
  return weight === 0 ? table[low]! : (1 - weight) * table[low]! + weight * table[low + 1]!;
}

/** The fractional timestep of a sigma, interpolated in log sigma (k-diffusion, diffusers); clamped to the table. */
export function timestepAtSigma(model: ModelSampling, sigma: number): number {
  const { low, weight } = bracket(model.logSigmas, Math.log(sigma));
  return low + weight;
}

/**
 * The whole timestep whose log sigma is nearest, which is what ComfyUI hands to the model. Halfway goes to the lower one;
 * the tolerance keeps the schedules' exact halves from being decided by rounding errors.
 */
export function nearestTimestep(model: ModelSampling, sigma: number): number {
  const { low, weight } = bracket(model.logSigmas, Math.log(sigma));
  return weight > 0.5 + 1e-4 ? low + 1 : low;
}

/** Where a value lies in a rising table: between `low` and `low + 1`, `weight` (0–1) of the way. */
function bracket(table: Float64Array, value: number): { low: number; weight: number } {
  let low = 0;
  let high = table.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (table[middle]! <= value) low = middle;
    else high = middle;
  }
  const weight = (value - table[low]!) / (table[high]! - table[low]!);
  return { low, weight: Math.min(Math.max(weight, 0), 1) };
}

/** What a sample at `sigma` is multiplied by to be the network's input: 1 / sqrt(sigma² + 1). */
export function inputScale(sigma: number): number {
  return 1 / Math.sqrt(sigma * sigma + 1);
}

/**
 * The denoised sample that a model output means: x0 = x·skip + output·out. Epsilon: x − sigma·output. Velocity:
 * x / (sigma² + 1) − output·sigma / sqrt(sigma² + 1).
 */
export function denoisedWeights(prediction: Prediction, sigma: number): { readonly skip: number; readonly out: number } {
  if (prediction === "epsilon") return { skip: 1, out: -sigma };
  const scale = inputScale(sigma);
  return { skip: scale * scale, out: -sigma * scale };
}
