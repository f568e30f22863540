import { describe, expect, test } from "vitest";
import { makeDenoiser, type DenoiserOptions, type PredictionInput } from "../../src/pipeline/denoiser.ts";
import { guide, rescaleGuidance } from "../../src/pipeline/guidance.ts";
import type { Prediction } from "../../src/models/configuration.ts";
import { makeSchedule } from "../../src/pipeline/schedule.ts";
import { fixture, noise, relativeError, SIZE, training, unpack } from "../fixtures/samplers/toy.ts";

function scheduleFor(prediction: Prediction, zeroTerminalSnr = false) {
  return makeSchedule({ sampler: "euler", schedule: "normal", steps: 4, training: training(prediction, zeroTerminalSnr) });
}

describe("guidance", () => {
  test.each([
    [1, [2, 4]],
    [0, [1, 0]],
    [3, [4, 12]],
    [-1, [0, -4]],
  ])("scale %d", (scale, expected) => {
    expect([...guide(new Float32Array([1, 0]), new Float32Array([2, 4]), scale)]).toEqual(expected);
  });

  test("CFG rescale is diffusers' rescale_noise_cfg, each sample of the batch by itself", () => {
    const join = (a: Float32Array, b: Float32Array): Float32Array => new Float32Array([...a, ...b]);
    const negative = join(
      noise(3),
      noise(4).map((value) => 0.5 * value),
    );
    const positive = join(
      noise(5),
      noise(6).map((value) => value + 0.2),
    );
    const rescaled = rescaleGuidance(guide(negative, positive, 7.5), positive, 2, 0.7);
    expect(relativeError(rescaled, unpack(fixture.rescaledGuidance))).toBeLessThan(1e-6);
  });

  test("a constant prediction stays as it is", () => {
    const constant = new Float32Array(8).fill(3);
    expect(rescaleGuidance(constant, constant, 2, 1)).toEqual(constant);
  });
});

describe("denoiser", () => {
  const sigma = 3;
  const x = new Float32Array([...noise(0), ...noise(1)]);

  function recording(change: Partial<DenoiserOptions>): { calls: PredictionInput[]; run: () => Promise<Float32Array> } {
    const calls: PredictionInput[] = [];
    const denoise = makeDenoiser({
      predict: async (input) => {
        calls.push(input);
        // Negatives predict 1, positives 2.
        return input.x.map((_, i) => (input.withNegatives && i < input.x.length / 2 ? 1 : 2));
      },
      schedule: scheduleFor("epsilon"),
      batch: 2,
      cfg: 4,
      ...change,
    });
    return { calls, run: () => denoise(x, sigma) };
  }

  test("one call holds the negatives, then the positives, of the scaled sample", async () => {
    const { calls, run } = recording({});
    const denoised = await run();
    expect(calls).toHaveLength(1);
    expect(calls[0]!.withNegatives).toBe(true);
    expect(calls[0]!.x).toHaveLength(4 * SIZE);
    expect(calls[0]!.x[5]).toBeCloseTo(x[5]! / Math.sqrt(10), 6);
    expect(calls[0]!.x.slice(2 * SIZE)).toEqual(calls[0]!.x.slice(0, 2 * SIZE));
    expect([...calls[0]!.timesteps]).toEqual(Array.from({ length: 4 }, () => scheduleFor("epsilon").timestepOf(sigma)));
    expect(
      relativeError(
        denoised,
        x.map((value) => value - sigma * 5),
      ),
    ).toBeLessThan(1e-6);
  });

  test("at guidance scale 1 the negatives are not run", async () => {
    const { calls, run } = recording({ cfg: 1, cfgRescale: 0.7 });
    const denoised = await run();
    expect(calls[0]!.withNegatives).toBe(false);
    expect(calls[0]!.x).toHaveLength(2 * SIZE);
    expect(calls[0]!.timesteps).toHaveLength(2);
    expect(
      relativeError(
        denoised,
        x.map((value) => value - sigma * 2),
      ),
    ).toBeLessThan(1e-6);
  });

  test("a velocity is read as one", async () => {
    const { run } = recording({ cfg: 1, schedule: scheduleFor("v_prediction") });
    const expected = x.map((value) => value / 10 - (2 * sigma) / Math.sqrt(10));
    expect(relativeError(await run(), expected)).toBeLessThan(1e-6);
  });

  test("a velocity recovers x0 at the huge last sigma of zero terminal SNR", async () => {
    const schedule = scheduleFor("v_prediction", true);
    const largest = schedule.sigmas[0]!;
    const root = Math.sqrt(largest ** 2 + 1);
    const clean = noise(7);
    const noisy = clean.map((value, i) => value + largest * noise(8)[i]!);
    // v = α·noise − σ·x0 in the variance-preserving form.
    const velocity = clean.map((value, i) => (noise(8)[i]! - largest * value) / root);
    const denoise = makeDenoiser({ predict: async () => velocity, schedule, batch: 1, cfg: 1 });
    expect(largest).toBeGreaterThan(4000);
    expect(relativeError(await denoise(noisy, largest), clean)).toBeLessThan(1e-5);
  });

  test.each<[string, (x: Float32Array) => Float32Array, RegExp]>([
    ["NaN", (input) => input.with(3, NaN), /NaN or infinite values at timestep \d+/],
    ["infinity", (input) => input.with(0, -Infinity), /NaN or infinite/],
    ["too few values", (input) => input.slice(1), /gave 255 values instead of 256/],
  ])("%s from the UNet is an error", async (_, spoil, message) => {
    const { run } = recording({ predict: async (input) => spoil(input.x) });
    await expect(run()).rejects.toThrow(message);
    await expect(run()).rejects.toMatchObject({ code: "engine.failed" });
  });
});
