import { describe, expect, test } from "vitest";
import { comfySigmas, COMFY_SCHEDULES, type ComfySchedule } from "../../src/pipeline/comfy-schedules.ts";
import { betaQuantile, regularizedBeta } from "../../src/pipeline/incomplete-beta.ts";
import {
  makeModelSampling,
  nearestTimestep,
  sigmaAtTimestep,
  sigmaMax,
  sigmaMin,
  TERMINAL_ALPHA_BAR,
  timestepAtSigma,
} from "../../src/pipeline/model-sampling.ts";
import { SAMPLERS, type SamplerName } from "../../src/pipeline/samplers/sampler.ts";
import { initialLatents, makeSchedule, type ScheduleName, type ScheduleOptions } from "../../src/pipeline/schedule.ts";
import { spacedTimesteps, TIMESTEP_SPACINGS, type TimestepSpacing } from "../../src/pipeline/timestep-spacing.ts";
import { fixture, image, noise, training } from "../fixtures/samplers/toy.ts";

const model = makeModelSampling(training("epsilon"));
const zeroSnr = makeModelSampling(training("v_prediction", true));

function expectClose(actual: readonly number[], expected: readonly number[], relative: number): void {
  expect(actual).toHaveLength(expected.length);
  for (const [i, value] of expected.entries()) expect(Math.abs(actual[i]! - value)).toBeLessThanOrEqual(relative * Math.abs(value));
}

describe("model sampling", () => {
  const every111th = (sigmas: Float64Array): number[] => [...sigmas].filter((_, i) => i % 111 === 0);

  test("the table is the scaled linear one", () => {
    expectClose(every111th(model.sigmas), fixture.trainingSigmas.plain, 1e-10);
    // The values that every Stable Diffusion sampler prints.
    expect(sigmaMin(model)).toBeCloseTo(0.02917, 5);
    expect(sigmaMax(model)).toBeCloseTo(14.6146, 4);
  });

  test("zero terminal SNR keeps the first sigma and ends where ComfyUI and diffusers end", () => {
    expectClose(every111th(zeroSnr.sigmas), fixture.trainingSigmas.zeroSnr, 1e-8);
    expect(sigmaMin(zeroSnr)).toBeCloseTo(sigmaMin(model), 12);
    expect(sigmaMax(zeroSnr)).toBeCloseTo(4518.7637, 3);
    expect(sigmaMax(makeModelSampling(training("v_prediction", true), TERMINAL_ALPHA_BAR.diffusers))).toBeCloseTo(4096, 3);
  });

  test.each([0, 1, 0.25, 499.75, 998.9, 999])("timestep %d and its sigma are each other's inverse", (timestep) => {
    expect(timestepAtSigma(model, sigmaAtTimestep(model, timestep))).toBeCloseTo(timestep, 8);
    expect(timestepAtSigma(zeroSnr, sigmaAtTimestep(zeroSnr, timestep))).toBeCloseTo(timestep, 8);
  });

  test.each([
    [499.4, 499],
    [499.5, 499],
    [499.6, 500],
    [0, 0],
    [999, 999],
  ])("the whole timestep nearest to %d is %i", (timestep, expected) => {
    expect(nearestTimestep(model, sigmaAtTimestep(model, timestep))).toBe(expected);
  });

  test("sigmas outside the table go to its ends", () => {
    expect(nearestTimestep(model, 1e9)).toBe(999);
    expect(nearestTimestep(model, 1e-9)).toBe(0);
    expect(timestepAtSigma(model, 1e9)).toBe(999);
    expect(sigmaAtTimestep(model, -5)).toBe(sigmaMin(model));
  });
});

describe("incomplete beta", () => {
  test.each(fixture.quantiles)("the quantile of %d with shapes %d, %d is SciPy's", (p, a, b, expected) => {
    expect(Math.abs(betaQuantile(p, a, b) - expected)).toBeLessThanOrEqual(1e-10 * expected);
  });

  test.each(fixture.quantiles)("and its inverse gives %d back (shapes %d, %d)", (p, a, b) => {
    expect(Math.abs(regularizedBeta(betaQuantile(p, a, b), a, b) - p)).toBeLessThanOrEqual(1e-10 * p);
  });

  test("the ends", () => {
    expect([betaQuantile(0, 0.6, 0.6), betaQuantile(1, 0.6, 0.6)]).toEqual([0, 1]);
    expect(() => betaQuantile(1.5, 0.6, 0.6)).toThrow(RangeError);
    expect(() => betaQuantile(NaN, 0.6, 0.6)).toThrow(RangeError);
  });
});

describe("ComfyUI's schedules", () => {
  test.each(Object.entries(fixture.schedules))("%s", (name, expected) => {
    const [schedule, steps] = name.split("/") as [ComfySchedule, string];
    expectClose(comfySigmas(schedule, model, Number(steps)), expected, 1e-6);
  });

  test("ddim_uniform and beta do not always give as many steps as asked for, as in ComfyUI", () => {
    expect(comfySigmas("ddim_uniform", model, 15)).toHaveLength(17);
    expect(comfySigmas("ddim_uniform", model, 2000)).toHaveLength(1000);
    expect(comfySigmas("beta", model, 600).length).toBeLessThan(601);
  });

  test.each(["dpm_2", "uni_pc"] as const)("%s runs without the next to last sigma", (sampler) => {
    const { sigmas } = makeSchedule({ sampler, schedule: "karras", steps: 5, training: training("epsilon") });
    const six = comfySigmas("karras", model, 6);
    expect(sigmas).toEqual([...six.slice(0, 5), 0]);
  });
});

describe("diffusers' timestep spacing", () => {
  test.each(Object.entries(fixture.timesteps))("%s", (name, expected) => {
    const [sampler, spacing, steps] = name.split("/") as [SamplerName, TimestepSpacing, string];
    expect(spacedTimesteps(sampler, spacing, Number(steps))).toEqual(expected);
  });

  test("the model is called with the scheduler's own timesteps, interpolated ones between them", () => {
    const schedule = makeSchedule({ sampler: "euler", schedule: "linspace", steps: 4, training: training("epsilon") });
    const own = schedule.sigmas.slice(0, -1).map((sigma) => schedule.timestepOf(sigma));
    expect(own).toEqual([999, 666, 333, 0]);
    const between = schedule.timestepOf((schedule.sigmas[0]! + schedule.sigmas[1]!) / 2);
    expect(between).toBeGreaterThan(666);
    expect(Number.isInteger(between)).toBe(false);
  });
});

describe("initial noise", () => {
  const scale = (options: Pick<ScheduleOptions, "sampler" | "schedule">): { scale: number; sigma: number } => {
    const schedule = makeSchedule({ ...options, steps: 10, training: training("epsilon") });
    return { scale: initialLatents(schedule, new Float32Array([1]))[0]!, sigma: schedule.sigmas[0]! };
  };

  test.each<[SamplerName, ScheduleName, "sigma" | "unit variance"]>([
    ["euler", "normal", "unit variance"],
    ["euler", "karras", "unit variance"],
    // Its first timestep is not the last of the table, so ComfyUI adds noise of its sigma alone.
    ["euler", "ddim_uniform", "sigma"],
    ["euler", "leading", "unit variance"],
    ["heun", "leading", "unit variance"],
    ["euler", "linspace", "sigma"],
    ["euler_ancestral", "trailing", "sigma"],
    ["dpm_2", "trailing", "sigma"],
    ["dpmpp_sde", "linspace", "sigma"],
    ["ddim", "trailing", "unit variance"],
    ["dpmpp_2m", "linspace", "unit variance"],
    ["dpmpp_2m_sde", "trailing", "unit variance"],
    ["uni_pc", "linspace", "unit variance"],
    ["lcm", "trailing", "unit variance"],
  ])("%s with %s: %s", (sampler, schedule, kind) => {
    const start = scale({ sampler, schedule });
    expect(start.scale).toBeCloseTo(kind === "sigma" ? start.sigma : Math.sqrt(start.sigma ** 2 + 1), 5);
  });

  test("an image of another size is refused", () => {
    const schedule = makeSchedule({ sampler: "euler", schedule: "normal", steps: 2, training: training("epsilon") });
    expect(() => initialLatents(schedule, noise(0), image.slice(1))).toThrow(/63 values, the noise 64/);
  });
});

describe("steps and strength", () => {
  const options = (change: Partial<ScheduleOptions>): ScheduleOptions => ({
    sampler: "euler",
    schedule: "normal",
    steps: 20,
    training: training("epsilon"),
    ...change,
  });

  test.each(SAMPLERS.flatMap((sampler) => [...COMFY_SCHEDULES, ...TIMESTEP_SPACINGS].map((schedule) => [sampler, schedule] as const)))(
    "%s with %s: one step is two sigmas, the last 0",
    (sampler, schedule) => {
      // ComfyUI drops the next to last sigma of two steps; ddim_uniform's stride then leaves timesteps 1 and 501.
      const { sigmas } = makeSchedule(options({ sampler, schedule, steps: 1 }));
      expect(sigmas).toHaveLength(2);
      expect(sigmas[1]).toBe(0);
      expect(sigmas[0]).toBeGreaterThan(0);
    },
  );

  test("ComfyUI runs all steps from a lower noise, diffusers fewer steps", () => {
    const comfy = makeSchedule(options({ strength: 0.5 }));
    const whole = makeSchedule(options({ steps: 40 }));
    expect(comfy.sigmas).toEqual(whole.sigmas.slice(-21));
    const spaced = makeSchedule(options({ schedule: "leading", strength: 0.35 }));
    expect(spaced.sigmas).toEqual(makeSchedule(options({ schedule: "leading" })).sigmas.slice(-8));
  });

  test.each<[Partial<ScheduleOptions>, RegExp]>([
    [{ steps: 0 }, /steps must be a whole number from 1, not 0/],
    [{ steps: 2.5 }, /not 2\.5/],
    [{ steps: NaN }, /not NaN/],
    [{ strength: 0 }, /strength must be over 0 and at most 1, not 0/],
    [{ strength: 1.5 }, /not 1\.5/],
    [{ strength: NaN }, /not NaN/],
    [{ strength: 1e-9 }, /Strength 1e-9 is too small for 20 steps/],
    [{ schedule: "leading", strength: 0.04 }, /Strength 0\.04 leaves none of 20 steps; use a strength of at least 0\.05/],
    // 49 / 49 is below 1 in floating point: the advice has to hold all the same.
    [{ schedule: "leading", steps: 49, strength: 0.02 }, /leaves none of 49 steps; use a strength of at least 0\.021/],
    [{ schedule: "simple", steps: 1001 }, /"simple" cannot make 1001 different steps; use fewer steps\./],
    [{ schedule: "simple", strength: 0.001 }, /cannot make 20000 different steps; use fewer steps or a greater strength\./],
    [{ schedule: "leading", steps: 1001 }, /"leading" cannot make 1001 different steps for sampler "euler" out of 1000/],
    [{ schedule: "leading", steps: 1000 }, /"leading" cannot make 1000/],
    [{ schedule: "trailing", steps: 1200 }, /"trailing" cannot make 1200/],
    [{ schedule: "linspace", steps: 1001, sampler: "ddim" }, /"linspace" cannot make 1001/],
    [{ schedule: "leading", steps: 1000, sampler: "dpmpp_2m" }, /"leading" cannot make 1000/],
    [{ schedule: "trailing", steps: 51, sampler: "lcm" }, /"lcm" takes at most 50 steps/],
  ])("%o is refused", (change, message) => {
    expect(() => makeSchedule(options(change))).toThrow(message);
    expect(() => makeSchedule(options(change))).toThrow(expect.objectContaining({ code: "option.invalid" }));
  });

  test.each<[ScheduleName, number]>([
    ["normal", 1500],
    ["karras", 1500],
    ["exponential", 1500],
    ["sgm_uniform", 1500],
    ["linspace", 1500],
    ["trailing", 1000],
    ["leading", 999],
    ["simple", 1000],
  ])("%s makes %i steps", (schedule, steps) => {
    const { sigmas } = makeSchedule(options({ schedule, steps }));
    expect(sigmas).toHaveLength(steps + 1);
    expect(sigmas.every((sigma, i) => Number.isFinite(sigma) && (i === 0 || sigma < sigmas[i - 1]!))).toBe(true);
  });
});
