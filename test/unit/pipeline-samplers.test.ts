import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { LatentArithmetic } from "../../src/engines/latents.ts";
import { SafetensorsFile } from "../../src/formats/safetensors.ts";
import { COMFY_SCHEDULES } from "../../src/pipeline/comfy-schedules.ts";
import { makeDenoiser, type PredictionInput } from "../../src/pipeline/denoiser.ts";
import type { Prediction } from "../../src/models/configuration.ts";
import { HOST_LATENTS } from "../../src/pipeline/host-latents.ts";
import { sample as sampleIn, type SampleOptions } from "../../src/pipeline/samplers/sample.ts";
import { SAMPLERS, type Denoise, type SamplerName } from "../../src/pipeline/samplers/sampler.ts";
import { initialLatents, makeSchedule, type SamplingSchedule, type ScheduleName } from "../../src/pipeline/schedule.ts";
import { TIMESTEP_SPACINGS } from "../../src/pipeline/timestep-spacing.ts";
import { draws, fixture, image, noise, relativeError, SIZE, toy, training, unpack } from "../fixtures/samplers/toy.ts";

function sample(sampler: SamplerName, options: SampleOptions<Float32Array>): Promise<Float32Array> {
  return sampleIn(sampler, options, { arithmetic: HOST_LATENTS, count: options.x.length });
}

function toyDenoiser(schedule: SamplingSchedule): Denoise {
  return makeDenoiser({ predict: async ({ x, timesteps }) => toy(x, timesteps[0]!), schedule, batch: 1, cfg: 1 });
}

async function runCase(name: string): Promise<Float32Array> {
  const [sampler, scheduleName, steps, prediction, ...rest] = name.split("/") as [SamplerName, ScheduleName, string, Prediction];
  const options = rest as string[];
  const strength = options.find((option) => option.startsWith("strength="))?.slice("strength=".length);
  const schedule = makeSchedule({
    sampler,
    schedule: scheduleName,
    steps: Number(steps),
    training: training(prediction, options.includes("zero-snr")),
    ...(strength ? { strength: Number(strength) } : {}),
  });
  const x = initialLatents(schedule, noise(0), strength ? image : undefined);
  return sample(sampler, { denoise: toyDenoiser(schedule), schedule, x, randn: draws() });
}

describe("every sampler gives diffusers' result on the toy model", () => {
  test.each(SAMPLERS)("%s", async (sampler) => {
    const names = Object.keys(fixture.cases).filter((name) => name.startsWith(`${sampler}/`));
    const schedules = new Set(names.map((name) => name.split("/")[1]));
    expect(schedules).toEqual(new Set([...COMFY_SCHEDULES, ...TIMESTEP_SPACINGS]));
    const failures: string[] = [];
    for (const name of names) {
      const error = relativeError(await runCase(name), unpack(fixture.cases[name]!));
      if (!(error <= 1e-4)) failures.push(`${name}: ${error}`);
    }
    expect(failures).toEqual([]);
  });
});

interface ReferenceCase {
  readonly name: string;
  readonly steps: number;
  readonly sampler?: SamplerName;
  readonly spacing?: ScheduleName;
}

describe("the first model call of emoji-xl's reference runs", () => {
  const folder = new URL("../../demo/emoji-xl/reference/", import.meta.url);
  const cases = JSON.parse(readFileSync(new URL("cases.json", folder), "utf8")) as ReferenceCase[];

  test.each(cases)("$name", async ({ name, steps, sampler = "euler", spacing = "leading" }) => {
    const file = await SafetensorsFile.open(fileURLToPath(new URL(`${name}.safetensors`, folder)));
    const read = (tensor: string): Promise<Float32Array> => file.readFloat32(tensor);
    const [start, xFirst, tFirst] = [await read("noise"), await read("x_first"), await read("t_first")];
    await file.close();

    const schedule = makeSchedule({ sampler, schedule: spacing, steps, training: training("epsilon") });
    let input: PredictionInput | undefined;
    const predict = async (given: PredictionInput): Promise<Float32Array> => {
      input ??= given;
      return given.x;
    };
    const denoise = makeDenoiser({ predict, schedule, batch: start.length / 1024, cfg: 4 });
    await sample(sampler, { denoise, schedule, x: initialLatents(schedule, start), randn: draws() });
    expect(new Set(input!.timesteps)).toEqual(new Set(tFirst));
    expect(relativeError(input!.x, xFirst)).toBeLessThan(2e-6);
  });
});

const schedule20 = makeSchedule({ sampler: "euler", schedule: "karras", steps: 20, training: training("epsilon") });

/** Latents that, once freed, cannot be used; like those of a GPU. */
interface Tracked {
  values?: Float32Array;
}

function trackedPlace() {
  const alive = new Set<Tracked>();
  let most = 0;
  const make = (values: Float32Array): Tracked => {
    const latents = { values };
    alive.add(latents);
    most = Math.max(most, alive.size);
    return latents;
  };
  const read = ({ values }: Tracked): Float32Array => {
    if (!values) throw new Error("Latents were used after they had been freed.");
    return values;
  };
  const arithmetic: LatentArithmetic<Tracked> = {
    fromHost: make,
    toHost: async (latents) => read(latents),
    combine: (...terms) => make(HOST_LATENTS.combine(...terms.map(([weight, latents]) => [weight, read(latents)] as const))),
    keepOnly: (kept) => {
      for (const latents of alive) {
        if (kept.includes(latents)) continue;
        delete latents.values;
        alive.delete(latents);
      }
    },
  };
  return { arithmetic, make, read, alive, most: () => most };
}

describe("every sampler frees what it no longer needs, and nothing else", () => {
  test.each(SAMPLERS.flatMap((sampler) => [[sampler, "normal"] as const, [sampler, "trailing"] as const]))(
    "%s, %s",
    async (sampler, name) => {
      const schedule = makeSchedule({ sampler, schedule: name, steps: 12, training: training("epsilon") });
      const start = initialLatents(schedule, noise(0));
      const expected = await sample(sampler, { denoise: toyDenoiser(schedule), schedule, x: start, randn: draws() });
      const { arithmetic, make, read, alive, most } = trackedPlace();
      const denoise: Denoise<Tracked> = async (x, sigma) => make(await toyDenoiser(schedule)(read(x), sigma));
      const onStep = async (_done: number, _total: number, denoised: Tracked): Promise<void> => {
        await arithmetic.toHost(denoised);
      };
      const options = { denoise, schedule, x: arithmetic.fromHost(start), randn: draws(), onStep };
      const result = await sampleIn(sampler, options, { arithmetic, count: SIZE });
      expect(read(result)).toEqual(expected);
      // What a step leaves, and what it makes: no more after twelve steps than after two.
      expect(most()).toBeLessThanOrEqual(9);
      expect(alive.size).toBeLessThanOrEqual(5);
    },
  );
});

describe("sample", () => {
  test("reports each step with its denoised sample and leaves the start as it was", async () => {
    const x = initialLatents(schedule20, noise(0));
    const before = x.slice();
    const steps: string[] = [];
    let last: Float32Array | undefined;
    const result = await sample("heun", {
      denoise: toyDenoiser(schedule20),
      schedule: schedule20,
      x,
      randn: draws(),
      onStep: (done, total, denoised) => {
        steps.push(`${done}/${total}`);
        last = denoised;
      },
    });
    expect(steps).toEqual(Array.from({ length: 20 }, (_, i) => `${i + 1}/20`));
    expect(relativeError(result, last!)).toBeLessThan(1e-6);
    expect(x).toEqual(before);
  });

  test.each(SAMPLERS)("%s stops between model calls when cancelled", async (sampler) => {
    const controller = new AbortController();
    let calls = 0;
    const denoise: Denoise = async (x) => {
      if (++calls === 3) controller.abort();
      return x;
    };
    const x = initialLatents(schedule20, noise(0));
    const run = sample(sampler, { denoise, schedule: schedule20, x, randn: draws(), signal: controller.signal });
    await expect(run).rejects.toMatchObject({ code: "cancelled" });
    expect(calls).toBe(3);
  });

  test.each([
    ["euler", 0],
    ["heun", 0],
    ["ddim", 0],
    ["uni_pc", 0],
    ["dpmpp_2m", 0],
    ["dpm_2", 0],
    ["euler_ancestral", 19],
    ["dpmpp_2m_sde", 19],
    ["lcm", 19],
    ["dpmpp_sde", 38],
  ] as const)("%s draws noise %i times in 20 steps", async (sampler, expected) => {
    const counts: number[] = [];
    const randn = (count: number): Float32Array => {
      counts.push(count);
      return noise(counts.length);
    };
    const schedule = makeSchedule({ sampler, schedule: "karras", steps: 20, training: training("epsilon") });
    await sample(sampler, { denoise: toyDenoiser(schedule), schedule, x: initialLatents(schedule, noise(0)), randn });
    expect(counts).toEqual(Array.from({ length: expected }, () => SIZE));
  });

  test("the noise of dpmpp_sde's half and whole step belongs to one Brownian path", async () => {
    // With a model that always sees 0, a step is linear in its two draws; the first must weigh in the whole step by its share of it.
    const schedule = { ...schedule20, sigmas: [9, 1, 0] };
    const seen: number[] = [];
    const denoise: Denoise = async (x) => {
      seen.push(x[0]!);
      return new Float32Array(x.length);
    };
    const values = [1, 0];
    const randn = (count: number): Float32Array => new Float32Array(count).fill(values.shift()!);
    await sample("dpmpp_sde", { denoise, schedule, x: new Float32Array(SIZE), randn });
    const up = (from: number, to: number): number => to * Math.sqrt(1 - (to / from) ** 2);
    expect(seen[1]).toBeCloseTo(up(9, 3), 6);
    expect(seen[2]).toBeCloseTo(up(9, 1) * Math.sqrt((9 - 3) / (9 - 1)), 6);
  });

  test("uni_pc's single step denoises with ComfyUI's schedules too", async () => {
    const schedule = makeSchedule({ sampler: "uni_pc", schedule: "normal", steps: 1, training: training("epsilon") });
    expect(schedule.sigmas).toHaveLength(2);
    const x = initialLatents(schedule, noise(0));
    const denoised = await toyDenoiser(schedule)(x, schedule.sigmas[0]!);
    const result = await sample("uni_pc", { denoise: toyDenoiser(schedule), schedule, x, randn: draws() });
    expect(relativeError(result, denoised)).toBeLessThan(1e-3);
  });
});
