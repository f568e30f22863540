import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Engine, Inputs } from "../../src/engines/engine.ts";
import { SafetensorsFile } from "../../src/formats/safetensors.ts";
import type { LoadedBundle } from "../../src/jobs/engine-cache.ts";
import { randomTensor, TorchGenerator } from "../../src/pipeline/noise.ts";
import type { SamplerName } from "../../src/pipeline/samplers/sampler.ts";
import type { ScheduleName } from "../../src/pipeline/schedule.ts";
import { generateImages, type ImageResult } from "../../src/pipeline/text-to-image.ts";
import { CHECKPOINT, LORAS, newEngines, recordingContext, REFERENCE, run, temporaryFolder } from "./jobs-support.ts";

/** What diffusers computed on the CPU in fp32 for a prompt (demo/emoji-xl/README.md). */
interface Case {
  readonly name: string;
  readonly prompts: readonly string[];
  readonly negative: readonly string[];
  readonly loras: readonly (readonly [string, number])[];
  readonly seed: number;
  readonly steps: number;
  readonly cfg: number;
  readonly sampler?: SamplerName;
  readonly spacing?: ScheduleName;
}

const CASES = JSON.parse(readFileSync(join(REFERENCE, "cases.json"), "utf8")) as Case[];
const SIZE = 128;

const engines = newEngines();
const folder = temporaryFolder();
let model: LoadedBundle;
const results = new Map<string, ImageResult>();

beforeAll(async () => {
  const bundle = join(folder, "emoji");
  await run("export", { checkpoint: CHECKPOINT, output: bundle }, engines);
  model = await engines.load(bundle, "auto", recordingContext());
});

afterAll(() => engines.unloadAll());

async function setLoras(loras: Case["loras"]): Promise<void> {
  const stack = await Promise.all(
    loras.map(async ([name, scale]) => ({ delta: (await model.adapters.load(LORAS[name]!, undefined)).delta, scale })),
  );
  await model.engine.setStack(stack);
}

/** Keeps the inputs and outputs of the first run of the UNet. */
function watchFirstStep(engine: Engine) {
  const seen: { inputs?: Inputs; output?: Float32Array } = {};
  const watched: Engine = {
    backend: engine.backend,
    components: engine.components,
    setStack: (...stack) => engine.setStack(...stack),
    memory: () => engine.memory(),
    unload: () => engine.unload(),
    run: async (component, inputs) => {
      const outputs = await engine.run(component, inputs);
      if (component === "unet" && !seen.inputs) {
        seen.inputs = inputs;
        seen.output = outputs["output"]!.data;
      }
      return outputs;
    },
  };
  return { watched, seen };
}

function generate(each: Case, engine = model.engine): Promise<ImageResult> {
  const { prompts, negative, seed, steps, cfg, sampler = "euler", spacing = "leading" } = each;
  const { architecture, configuration } = model;
  return generateImages(
    { engine, architecture, configuration },
    {
      positive: prompts,
      negative,
      batch: prompts.length,
      width: SIZE,
      height: SIZE,
      steps,
      cfg,
      cfgRescale: 0,
      sampler,
      schedule: spacing,
      seed: BigInt(seed),
    },
  );
}

function largestError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(actual.length).toBe(expected.length);
  let largest = 0;
  // NaN must not pass for small.
  for (let i = 0; i < actual.length; i++)
    largest = Math.max(largest, Math.abs(actual[i]! - expected[i]!) || (actual[i] === expected[i] ? 0 : Infinity));
  return largest;
}

/** Peak signal-to-noise ratio of 8-bit pictures, in dB. */
function psnr(actual: Uint8Array, expected: Uint8Array): number {
  expect(actual.length).toBe(expected.length);
  let sum = 0;
  for (let i = 0; i < actual.length; i++) sum += (actual[i]! - expected[i]!) ** 2;
  return 10 * Math.log10(255 ** 2 / (sum / actual.length));
}

const pixels = ({ images }: ImageResult) => Buffer.concat(images.map(({ data }) => data));

describe.each(CASES)("$name: $prompts", (each) => {
  let reference: SafetensorsFile;
  let result: ImageResult;
  let first: { inputs?: Inputs; output?: Float32Array };

  beforeAll(async () => {
    reference = await SafetensorsFile.open(join(REFERENCE, `${each.name}.safetensors`));
    await setLoras(each.loras);
    const { watched, seen } = watchFirstStep(model.engine);
    result = await generate(each, watched);
    first = seen;
    results.set(each.name, result);
  });

  afterAll(() => reference.close());

  test("noise as PyTorch's", async () => {
    const expected = await reference.readFloat32("noise");
    const noise = randomTensor(new TorchGenerator(BigInt(each.seed)), reference.entry("noise").shape);
    expect(largestError(noise.data, expected)).toBeLessThanOrEqual(2e-6);
  });

  test("prompt as the text encoders give it", async () => {
    const context = first.inputs!["context"]!;
    const expected = await reference.readFloat32("context");
    // The positives follow the negatives.
    expect(largestError(context.data.subarray(context.data.length / 2), expected)).toBeLessThanOrEqual(2e-4);
    const { data: y, dims } = first.inputs!["y"]!;
    const pooled = await reference.readFloat32("pooled");
    const width = pooled.length / each.prompts.length;
    for (let image = 0; image < each.prompts.length; image++) {
      const row = (each.prompts.length + image) * dims[1]!;
      expect(largestError(y.subarray(row, row + width), pooled.subarray(image * width, (image + 1) * width))).toBeLessThanOrEqual(2e-4);
    }
  });

  test("first step of the UNet", async () => {
    expect(largestError(first.inputs!["x"]!.data, await reference.readFloat32("x_first"))).toBeLessThanOrEqual(2e-5);
    expect(first.inputs!["timesteps"]!.data[0]).toBe((await reference.readFloat32("t_first"))[0]);
    expect(largestError(first.output!, await reference.readFloat32("eps_first"))).toBeLessThanOrEqual(2e-3);
  });

  test("final latents within 2e-3", async () => {
    expect(largestError(result.latents.data, await reference.readFloat32("latents"))).toBeLessThanOrEqual(2e-3);
  });

  test("picture within 45 dB", async () => {
    const { shape } = reference.entry("image");
    expect(shape).toEqual([each.prompts.length, SIZE, SIZE, 3]);
    expect(psnr(pixels(result), await reference.readBytes("image"))).toBeGreaterThanOrEqual(45);
  });
});

test("after all LoRAs, without any, the first picture again to the byte", async () => {
  await setLoras([]);
  const again = await generate(CASES[0]!);
  const before = results.get("base")!;
  expect(pixels(again).equals(pixels(before))).toBe(true);
  expect(Buffer.from(again.latents.data.buffer).equals(Buffer.from(before.latents.data.buffer))).toBe(true);
});
