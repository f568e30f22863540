import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Engine, Inputs } from "../../src/engines/engine.ts";
import type { DenoisingStep } from "../../src/engines/latents.ts";
import type {
  NativeLatentCommand,
  NativeNetwork,
  NativeSampling,
  NativeSamplingOptions,
  NativeSamplingOutcome,
  NativeTask,
} from "../../src/engines/tensorrt/native.ts";
import { TensorRtSampling } from "../../src/engines/tensorrt/tensorrt-sampling.ts";
import type { LoadedBundle } from "../../src/jobs/engine-cache.ts";
import { guide, rescaleGuidance } from "../../src/pipeline/guidance.ts";
import { combine } from "../../src/pipeline/host-latents.ts";
import { imagesFromTensor } from "../../src/pipeline/image.ts";
import { SAMPLERS } from "../../src/pipeline/samplers/sampler.ts";
import { generateImages, type ImageRequest } from "../../src/pipeline/text-to-image.ts";
import { CHECKPOINT, newEngines, recordingContext, run, temporaryFolder } from "./jobs-support.ts";

/*
 * The path over the GPU without one: TensorRtSampling's commands are carried out by a stand-in for the native side, whose networks are
 * ONNX Runtime's. It is one call behind, as the native side is, and slots that are read before they are written are errors.
 */

const task = <Result>(done: Promise<Result>): NativeTask<Result> => ({ done, cancel: () => {} });

class StandIn implements NativeSampling {
  readonly #engine: Engine;
  readonly #options: NativeSamplingOptions;
  readonly #slots = new Map<number, Float32Array>();
  #badTimestep: number | undefined;
  isOpen = true;
  mostSlots = 0;
  hasNanImages = false;
  /** Called before each model call; may give a value that spoils its output. */
  beforeStep: () => number | undefined = () => undefined;

  constructor(engine: Engine, options: NativeSamplingOptions) {
    this.#engine = engine;
    this.#options = options;
  }

  execute(commands: readonly NativeLatentCommand[]): NativeTask<NativeSamplingOutcome> {
    return task(this.#execute(commands));
  }

  async #execute(commands: readonly NativeLatentCommand[]): Promise<NativeSamplingOutcome> {
    if (!this.isOpen) throw new Error("The sampling has ended.");
    const downloads: Float32Array[] = [];
    const before = this.#badTimestep;
    for (const command of commands) {
      if (command.kind === "upload") this.#write(command.to, command.values.slice());
      else if (command.kind === "combine") {
        this.#write(command.to, combine(...command.terms.map(({ weight, slot }) => [weight, this.#read(slot)] as const)));
      } else if (command.kind === "denoise") this.#write(command.to, await this.#denoise(this.#read(command.from), command.step));
      else downloads.push(this.#read(command.from).slice());
    }
    const badTimestep = downloads.length > 0 ? this.#badTimestep : before;
    return { downloads, ...(badTimestep !== undefined && { badTimestep }) };
  }

  async #denoise(x: Float32Array, step: DenoisingStep): Promise<Float32Array> {
    const spoiled = this.beforeStep();
    const { dims, isGuided, inputs } = this.#options;
    const copies = isGuided ? 2 : 1;
    const scaled = combine([step.inputScale, x]);
    const rows = dims[0]! * copies;
    const { output } = await this.#engine.run("unet", {
      x: { dims: [rows, ...dims.slice(1)], data: Float32Array.from({ length: copies * x.length }, (_, i) => scaled[i % x.length]!) },
      timesteps: { dims: [rows], data: new Float32Array(rows).fill(step.timestep) },
      ...inputs,
    });
    const values = output!.data;
    if (spoiled !== undefined) values[3] = spoiled;
    if (!values.every(Number.isFinite)) this.#badTimestep ??= step.timestep;
    return combine([step.skip, x], [step.out, isGuided ? guided(values, dims[0]!, step) : values]);
  }

  decode({ slot, image, scale, shift, input }: Parameters<NativeSampling["decode"]>[0]) {
    const dims = [1, ...this.#options.dims.slice(1)];
    const latents = this.#read(slot);
    const size = latents.length / this.#options.dims[0]!;
    const data = latents.slice(image * size, (image + 1) * size).map((value) => value / scale + shift);
    return task(this.#decode({ [input]: { dims, data } }));
  }

  async #decode(inputs: Inputs) {
    const { image } = await this.#engine.run("vae_decoder", inputs);
    if (this.hasNanImages) return { width: 1, height: 1, data: new Uint8Array(3), hasNan: true };
    return { ...imagesFromTensor(image!)[0]!, hasNan: false };
  }

  async close(): Promise<void> {
    this.isOpen = false;
  }

  #read(slot: number): Float32Array {
    const latents = this.#slots.get(slot);
    if (!latents) throw new Error(`Slot ${slot} is read before it is written.`);
    return latents;
  }

  #write(slot: number, latents: Float32Array): void {
    this.#slots.set(slot, latents);
    this.mostSlots = Math.max(this.mostSlots, slot + 1);
  }
}

function guided(output: Float32Array, batch: number, { cfg, cfgRescale }: DenoisingStep): Float32Array {
  const positive = output.subarray(output.length / 2);
  const prediction = guide(output.subarray(0, output.length / 2), positive, cfg);
  return cfgRescale > 0 ? rescaleGuidance(prediction, positive, batch, cfgRescale) : prediction;
}

const engines = newEngines();
const folder = temporaryFolder();
let model: LoadedBundle;

beforeAll(async () => {
  const bundle = join(folder, "emoji");
  await run("export", { checkpoint: CHECKPOINT, output: bundle }, engines);
  model = await engines.load(bundle, "auto", recordingContext());
});

afterAll(() => engines.unloadAll());

const REQUEST: ImageRequest = {
  positive: "red apple",
  negative: "blue",
  batch: 1,
  width: 64,
  height: 64,
  steps: 3,
  cfg: 4,
  cfgRescale: 0,
  sampler: "euler",
  schedule: "normal",
  seed: 5n,
};

function onHost(request: Partial<ImageRequest> = {}) {
  return generateImages(model, { ...REQUEST, ...request });
}

/** The same on the stand-in for the GPU. */
function onDevice(request: Partial<ImageRequest> = {}, beforeStep?: StandIn["beforeStep"]) {
  const { engine, architecture, configuration } = model;
  const samplings: StandIn[] = [];
  const device: Engine = {
    backend: "tensorrt",
    components: engine.components,
    setStack: (...stack) => engine.setStack(...stack),
    run: (component, inputs) => {
      // What previews need of the decoder is computed before the sampling begins.
      const isSampling = component === "unet" || (component === "vae_decoder" && samplings.length > 0);
      if (isSampling) throw new Error(`The ${component} is run with arrays of the host.`);
      return engine.run(component, inputs);
    },
    startSampling: async (options) => {
      const native = new StandIn(engine, options);
      if (beforeStep) native.beforeStep = beforeStep;
      samplings.push(native);
      return new TensorRtSampling(native, { run: (work) => work(), decoder: () => ({}) as NativeNetwork });
    },
    memory: () => engine.memory(),
    unload: async () => {},
  };
  const result = generateImages({ engine: device, architecture, configuration }, { ...REQUEST, ...request });
  return { result, samplings };
}

describe("sampling on the GPU gives the host's bits", () => {
  test.each([
    ...SAMPLERS.map((sampler) => [sampler, "karras"] as const),
    // These two go other ways on diffusers' schedules.
    ["ddim", "trailing"] as const,
    ["uni_pc", "trailing"] as const,
  ])("%s, %s", async (sampler, schedule) => {
    const steps = 4;
    const expected = await onHost({ sampler, schedule, steps });
    const { result, samplings } = onDevice({ sampler, schedule, steps });
    const { images, latents, sigmas } = await result;
    expect(latents).toEqual(expected.latents);
    expect(images).toEqual(expected.images);
    expect(sigmas).toEqual(expected.sigmas);
    expect(samplings).toHaveLength(1);
    expect(samplings[0]).toMatchObject({ isOpen: false });
    expect(samplings[0]!.mostSlots).toBeLessThanOrEqual(9);
  });

  test.each<[string, Partial<ImageRequest>]>([
    ["without guidance", { cfg: 1 }],
    ["with CFG rescale", { cfgRescale: 0.6 }],
    ["of several images", { batch: 3, positive: ["a cat", "a dog", "a car"] }],
    ["from an image", { image: { picture: { width: 64, height: 64, data: new Uint8Array(64 * 64 * 3).fill(90) }, strength: 0.5 } }],
  ])("%s", async (_, request) => {
    const expected = await onHost(request);
    const { latents, images } = await onDevice(request).result;
    expect(latents).toEqual(expected.latents);
    expect(images).toEqual(expected.images);
  });

  test("with its previews", async () => {
    const previews = async (generate: (request: Partial<ImageRequest>) => Promise<unknown>) => {
      const seen: unknown[] = [];
      await generate({ steps: 5, previewEvery: 2, onStep: (step, total, preview) => seen.push([step, total, preview]) });
      return seen;
    };
    const expected = await previews(onHost);
    expect(expected.filter((each) => (each as unknown[])[2])).toHaveLength(3);
    expect(await previews((request) => onDevice(request).result)).toEqual(expected);
  });
});

describe("a sampling on the GPU that does not end well is closed", () => {
  test("cancelled between steps", async () => {
    const controller = new AbortController();
    let steps = 0;
    const { result, samplings } = onDevice({ steps: 8, signal: controller.signal }, () => {
      if (++steps === 3) controller.abort();
      return undefined;
    });
    await expect(result).rejects.toMatchObject({ code: "cancelled" });
    expect(steps).toBe(3);
    expect(samplings[0]!.isOpen).toBe(false);
  });

  test.each([
    ["in the middle", 2],
    ["in the last step", 4],
  ])("values that are not finite %s", async (_, bad) => {
    let steps = 0;
    const { result, samplings } = onDevice({ steps: 4 }, () => (++steps === bad ? NaN : undefined));
    await expect(result).rejects.toMatchObject({
      code: "engine.failed",
      message: expect.stringMatching(/NaN or infinite values at timestep \d+;/),
    });
    expect(samplings[0]!.isOpen).toBe(false);
  });

  test("a decoder that gives NaN", async () => {
    const { result, samplings } = onDevice({}, () => {
      samplings[0]!.hasNanImages = true;
      return undefined;
    });
    await expect(result).rejects.toMatchObject({ code: "engine.failed", message: expect.stringMatching(/VAE decoder gave .*NaN/) });
    expect(samplings[0]!.isOpen).toBe(false);
  });

  test("a network that fails", async () => {
    const { result, samplings } = onDevice({}, () => {
      throw new Error("out of memory");
    });
    await expect(result).rejects.toThrow("out of memory");
    expect(samplings[0]!.isOpen).toBe(false);
  });
});

test("latents that were freed are not used again", async () => {
  const sampling = new TensorRtSampling(new StandIn(model.engine, { dims: [1, 4, 8, 8], isGuided: false, inputs: {} }), {
    run: (work) => work(),
    decoder: () => ({}) as NativeNetwork,
  });
  const [kept, freed] = [sampling.fromHost(new Float32Array(256).fill(1)), sampling.fromHost(new Float32Array(256).fill(2))];
  const sum = sampling.combine([1, kept], [1, freed]);
  sampling.keepOnly([kept, sum]);
  expect(() => sampling.combine([1, freed])).toThrow(/freed/);
  // Takes the freed one's place; the sum that was asked for before still has its numbers.
  const next = sampling.combine([10, kept]);
  expect((await sampling.toHost(sum))[0]).toBe(3);
  expect((await sampling.toHost(next))[0]).toBe(10);
});
