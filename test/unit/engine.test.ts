import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { NativeArithmetic } from "../../src/engines/native-arithmetic.ts";
import { loadNativeAddon } from "../../src/engines/native-addon.ts";
import type { Engine } from "../../src/engines/engine.ts";
import { onnxRuntimeBackend } from "../../src/engines/onnxruntime/backend.ts";
import { UserError } from "../../src/formats/errors.ts";
import type { Tensor } from "../../src/formats/tensor.ts";
import { openBundle, type LoadedBundle, type OpenedBundle } from "../../src/jobs/engine-cache.ts";
import type { Delta, StackEntry } from "../../src/lora/delta.ts";
import type { WeightArithmetic } from "../../src/lora/merge.ts";
import { OnnxRuntimeArithmetic } from "../../src/lora/onnxruntime-arithmetic.ts";
import { StackArithmetic } from "../../src/lora/stack-arithmetic.ts";
import type { Component } from "../../src/models/architecture.ts";
import { randomTensor, TorchGenerator } from "../../src/pipeline/noise.ts";
import { generateImages } from "../../src/pipeline/text-to-image.ts";
import { CHECKPOINT, failure, HUE, INK, newEngines, recordingContext, run, temporaryFolder } from "./jobs-support.ts";

const folder = temporaryFolder();
const engines = newEngines();
let model: LoadedBundle;
let ink: Delta;
let hue: Delta;
let inputs: Record<string, Tensor>;
let baseOutput: Buffer;

beforeAll(async () => {
  await run("export", { checkpoint: CHECKPOINT, output: join(folder, "emoji") }, engines);
  model = await engines.load(join(folder, "emoji"), "auto", recordingContext());
  ink = (await model.adapters.load(INK, undefined)).delta;
  hue = (await model.adapters.load(HUE, undefined)).delta;
  inputs = fixedInputs(model);
  baseOutput = bits(await runUNet());
});

afterAll(() => engines.unloadAll());

function fixedInputs({ configuration }: OpenedBundle): Record<string, Tensor> {
  const { inChannels, contextWidth, admWidth } = configuration.unet!;
  const generator = new TorchGenerator(3n);
  return {
    x: randomTensor(generator, [1, inChannels, 8, 8]),
    timesteps: { dims: [1], data: Float32Array.of(500) },
    context: randomTensor(generator, [1, 77, contextWidth]),
    y: randomTensor(generator, [1, admWidth]),
  };
}

async function runUNet(engine: Engine = model.engine): Promise<Float32Array> {
  return (await engine.run("unet", inputs))["output"]!.data;
}

const bits = (values: Float32Array) => Buffer.from(values.slice().buffer);

async function outputOf(stack: readonly StackEntry[], engine: Engine = model.engine): Promise<Float32Array> {
  await engine.setStack(stack);
  return runUNet(engine);
}

/** The largest difference, as a fraction of the largest value. */
function relativeDifference(actual: Float32Array, expected: Float32Array): number {
  expect(actual.length).toBe(expected.length);
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return actual.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0) / largest;
}

function load(arithmetic: WeightArithmetic, components: readonly Component[] = ["unet"]): Promise<Engine> {
  return onnxRuntimeBackend.load({ folder: model.folder, bundle: model.bundle, components, arithmetic });
}

describe("setStack", () => {
  test("A, then B, then A gives A's bits", async () => {
    const first = bits(await outputOf([{ delta: ink, scale: 1 }]));
    const other = bits(await outputOf([{ delta: hue, scale: 0.7 }]));
    const again = bits(await outputOf([{ delta: ink, scale: 1 }]));
    expect(first.equals(baseOutput)).toBe(false);
    expect(other.equals(first)).toBe(false);
    expect(again.equals(first)).toBe(true);
  });

  test("an empty stack gives the base's bits", async () => {
    await outputOf([{ delta: hue, scale: -1.3 }]);
    expect(bits(await outputOf([])).equals(baseOutput)).toBe(true);
    expect(model.engine.memory().merged).toBe(0);
  });

  test("a random walk of thirty stacks ends in the base's bits and stays reproducible", async () => {
    const choose = new TorchGenerator(11n);
    const seen = new Map<string, Buffer>();
    for (let step = 0; step < 30; step++) {
      const [first, second] = choose.randn(2).map((value) => Math.round(value));
      const output = bits(
        await outputOf([
          { delta: ink, scale: first! },
          { delta: hue, scale: second! },
        ]),
      );
      const key = `${first! + 0},${second! + 0}`;
      const before = seen.get(key);
      if (before) expect(output.equals(before), key).toBe(true);
      seen.set(key, output);
    }
    expect(seen.size).toBeGreaterThan(4);
    expect(seen.size).toBeLessThan(30);
    expect(bits(await outputOf([])).equals(baseOutput)).toBe(true);
  });

  test("a scale of 0 is no change", async () => {
    const report = await model.engine.setStack([{ delta: ink, scale: 0 }]);
    expect(report).toMatchObject({ changed: 0, restored: 0, warnings: [] });
    expect(bits(await runUNet()).equals(baseOutput)).toBe(true);
  });

  test("the order of a stack matters to rounding only", async () => {
    const one = await outputOf([
      { delta: ink, scale: 0.4 },
      { delta: hue, scale: 0.7 },
    ]);
    const other = await outputOf([
      { delta: hue, scale: 0.7 },
      { delta: ink, scale: 0.4 },
    ]);
    expect(relativeDifference(one, other)).toBeLessThan(1e-5);
  });

  test("reports what it did", async () => {
    await model.engine.setStack([]);
    expect(await model.engine.setStack([{ delta: hue, scale: 1 }])).toMatchObject({ changed: hue.changes.size, restored: 0 });
    const both = new Set([...hue.changes.keys(), ...ink.changes.keys()]);
    const left = [...hue.changes.keys()].filter((name) => !ink.changes.has(name)).length;
    expect(left).toBeGreaterThan(0);
    expect(await model.engine.setStack([{ delta: ink, scale: 1 }])).toMatchObject({ changed: both.size, restored: left });
    expect(await model.engine.setStack([])).toMatchObject({ changed: ink.changes.size, restored: ink.changes.size });
  });

  test("weights of components that are not loaded are counted in a warning", async () => {
    const engine = await load(engines.arithmetic);
    const { warnings, changed } = await engine.setStack([{ delta: hue, scale: 1 }]);
    const unet = [...hue.changes.keys()].filter((name) => name.startsWith("model.diffusion_model."));
    expect(changed).toBe(unet.length);
    expect(warnings).toEqual([`${hue.changes.size - unet.length} weights of the stack belong to components that are not loaded.`]);
    await engine.unload();
  });

  test("a change of another shape is refused and the stack kept", async () => {
    const before = bits(await outputOf([{ delta: ink, scale: 1 }]));
    const [name] = hue.changes.keys();
    const wrong: Delta = { ...hue, changes: new Map([[name!, { kind: "dense", shape: [3, 3], values: new Float32Array(9) }]]) };
    const error = await failure(model.engine.setStack([{ delta: wrong, scale: 1 }]));
    expect(error.code).toBe("delta.invalid");
    expect(error.message).toContain(name);
    expect(bits(await runUNet()).equals(before)).toBe(true);
  });

  test("cancelled in the middle of the merge, the old stack is kept", async () => {
    const controller = new AbortController();
    const arithmetic: WeightArithmetic = {
      merge: (jobs, signal) => {
        if (jobs.length === hue.changes.size) controller.abort();
        return engines.arithmetic.merge(jobs, signal);
      },
    };
    const engine = await load(arithmetic, model.engine.components);
    const before = bits(await outputOf([{ delta: ink, scale: 1 }], engine));
    const error = await failure(engine.setStack([{ delta: hue, scale: 1 }], controller.signal));
    expect(error.code).toBe("cancelled");
    expect(bits(await runUNet(engine)).equals(before)).toBe(true);
    expect(bits(await outputOf([], engine)).equals(baseOutput)).toBe(true);
    await engine.unload();
  });

  test("never falls into a run: each sees one stack or the other", async () => {
    const inkOutput = bits(await outputOf([{ delta: ink, scale: 1 }]));
    await model.engine.setStack([]);
    const before = runUNet();
    const change = model.engine.setStack([{ delta: ink, scale: 1 }]);
    const after = runUNet();
    const back = model.engine.setStack([]);
    const last = runUNet();
    expect(bits(await before).equals(baseOutput)).toBe(true);
    expect(bits(await after).equals(inkOutput)).toBe(true);
    expect(bits(await last).equals(baseOutput)).toBe(true);
    await Promise.all([change, back]);
  });
});

describe("errors", () => {
  test("an unloaded engine says so", async () => {
    const engine = await load(engines.arithmetic);
    await engine.unload();
    await engine.unload();
    for (const attempt of [runUNet(engine), engine.setStack([{ delta: ink, scale: 1 }])]) {
      const error = await failure(attempt);
      expect([error.code, error.message]).toEqual(["engine.unusable", "The engine has been unloaded. Load it again."]);
    }
  });

  test("a component that is not loaded", async () => {
    const engine = await load(engines.arithmetic);
    const error = await failure(engine.run("vae_decoder", { latents: { dims: [1, 4, 8, 8], data: new Float32Array(256) } }));
    expect(error.message).toContain("has no vae_decoder");
    await engine.unload();
  });

  test("inputs of the wrong shape are an error, and the engine runs on", async () => {
    const wrong = { ...inputs, context: { dims: [1, 77, 3], data: new Float32Array(231) } };
    await expect(model.engine.run("unet", wrong)).rejects.toThrow(UserError);
    expect(bits(await outputOf([])).equals(baseOutput)).toBe(true);
  });
});

describe("arithmetic", () => {
  const { addon } = loadNativeAddon();

  test.skipIf(!addon)("the add-on's and ONNX Runtime's agree to fp32's rounding", async () => {
    const stack = [
      { delta: ink, scale: 0.4 },
      { delta: hue, scale: -0.7 },
    ];
    const outputs: Float32Array[] = [];
    for (const arithmetic of [new NativeArithmetic(addon!), new OnnxRuntimeArithmetic()]) {
      const engine = await load(new StackArithmetic(arithmetic));
      outputs.push(await outputOf(stack, engine));
      await engine.unload();
    }
    expect(relativeDifference(outputs[0]!, outputs[1]!)).toBeLessThan(1e-5);
  });
});

describe("stored precision", () => {
  const pictures = new Map<string, Buffer>();

  async function picture(precision: string): Promise<Buffer> {
    const known = pictures.get(precision);
    if (known) return known;
    const bundle = join(folder, precision);
    await run("export", { checkpoint: CHECKPOINT, output: bundle, precision }, engines);
    expect((await openBundle(bundle)).bundle.precision).toBe(precision);
    const loaded = await engines.load(bundle, "auto", recordingContext());
    const request = { positive: "red apple", negative: "", batch: 1, width: 128, height: 128, steps: 8, cfg: 4, cfgRescale: 0 };
    const { images } = await generateImages(loaded, { ...request, sampler: "euler", schedule: "normal", seed: 42n });
    await engines.unload(bundle);
    const data = Buffer.from(images[0]!.data);
    pictures.set(precision, data);
    return data;
  }

  test("fp32 weights made of fp16 ones give the same bits", async () => {
    expect((await picture("fp32")).equals(await picture("fp16"))).toBe(true);
  });

  test("bf16 weights give nearly the same picture", async () => {
    const [expected, actual] = [await picture("fp16"), await picture("bf16")];
    let sum = 0;
    for (let i = 0; i < expected.length; i++) sum += (actual[i]! - expected[i]!) ** 2;
    const psnr = 10 * Math.log10(255 ** 2 / (sum / expected.length));
    expect(psnr).toBeGreaterThan(25);
    expect(psnr).toBeLessThan(100);
  });
});
