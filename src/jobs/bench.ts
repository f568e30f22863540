import { basename } from "node:path";
import { performance } from "node:perf_hooks";
import type { Engine } from "../engines/engine.ts";
import { throwIfCancelled, UserError } from "../formats/errors.ts";
import type { Tensor } from "../formats/tensor.ts";
import type { StackEntry } from "../lora/delta.ts";
import { stackScales } from "../lora/strengths.ts";
import { randomTensor, TorchGenerator } from "../pipeline/noise.ts";
import type { JobContext } from "./context.ts";
import type { EngineCache, LoadedBundle } from "./engine-cache.ts";
import { checkImageSize } from "./image-size.ts";
import type { BenchOptions, LoraReference } from "./options.ts";
import type { BenchResult } from "./results.ts";
import { stageProgress } from "./timing.ts";

/** Steps that are run before any is counted: the first ones make the backend's buffers. */
const WARM_UP = 3;
const TOKENS = 77;

/** Times a bundle's load, its UNet's step and changes of its stack. */
export async function bench(options: BenchOptions, context: JobContext, engines: EngineCache): Promise<BenchResult> {
  const started = performance.now();
  const loaded = await engines.load(options.engine, options.backend, context, options.base);
  const loadMilliseconds = performance.now() - started;
  return loaded.jobs.run(async () => {
    const stepMilliseconds = await timeSteps(loaded, options, context);
    const { switches, memory } = await timeSwitches(loaded, options.lora, context);
    return {
      engine: loaded.folder,
      backend: loaded.engine.backend,
      loadMilliseconds,
      stepMilliseconds,
      switches,
      memoryBytes: { ...memory, process: process.memoryUsage().rss },
    };
  });
}

async function timeSteps(loaded: LoadedBundle, options: BenchOptions, context: JobContext) {
  const inputs = networkInputs(loaded, options);
  await loaded.engine.setStack([], context.signal);
  const report = stageProgress(context, "timing steps");
  const times: number[] = [];
  const { run, close } = await prepareStep(loaded.engine, inputs);
  try {
    for (let step = 0; step < WARM_UP + options.steps; step++) {
      throwIfCancelled(context.signal);
      const started = performance.now();
      await run();
      if (step >= WARM_UP) times.push(performance.now() - started);
      report(step + 1, WARM_UP + options.steps);
    }
  } finally {
    await close();
  }
  const sorted = times.toSorted((a, b) => a - b);
  return { median: sorted[sorted.length >> 1]!, min: sorted[0]!, max: sorted.at(-1)! };
}

/** A model call as `generate` makes it: with latents that stay on the GPU, where the engine is on one. */
async function prepareStep(engine: Engine, { x, timesteps, ...inputs }: UnetInputs) {
  const sampling = await engine.startSampling?.({ dims: x.dims, isGuided: false, inputs });
  if (!sampling) return { run: () => engine.run("unet", { x, timesteps, ...inputs }), close: async () => {} };
  const step = { inputScale: 1, timestep: timesteps.data[0]!, cfg: 1, cfgRescale: 0, skip: 1, out: 0 };
  let latents = sampling.fromHost(x.data);
  const run = async () => {
    latents = await sampling.denoise(latents, step);
    sampling.keepOnly([latents]);
  };
  return { run, close: () => sampling.close() };
}

interface UnetInputs extends Record<string, Tensor> {
  readonly x: Tensor;
  readonly timesteps: Tensor;
}

/** Random inputs of the UNet's shapes; `batch` is its own batch, positives and negatives together. */
function networkInputs({ bundle, configuration }: LoadedBundle, options: BenchOptions): UnetInputs {
  const { unet } = configuration;
  if (!unet)
    throw new UserError("bundle.invalid", "The engine has no unet, so there is no step to time. Export the checkpoint again with it.");
  const { width, height } = checkImageSize(bundle, { ...options, batch: Math.ceil(options.batch / 2) });
  const generator = new TorchGenerator(0n);
  const { batch } = options;
  return {
    x: randomTensor(generator, [batch, unet.inChannels, height / 8, width / 8]),
    timesteps: { dims: [batch], data: new Float32Array(batch).fill(500) },
    context: randomTensor(generator, [batch, TOKENS, unet.contextWidth]),
    ...(unet.admWidth > 0 && { y: randomTensor(generator, [batch, unet.admWidth]) }),
  };
}

/** Each LoRA from its file, the same at another strength, all of them together, and back to the base. */
async function timeSwitches(loaded: LoadedBundle, loras: readonly LoraReference[], { signal }: JobContext) {
  const switches: BenchResult["switches"][number][] = [];
  const change = async (stack: string, read: () => Promise<StackEntry[]>) => {
    throwIfCancelled(signal);
    const started = performance.now();
    const entries = await read();
    const readTime = performance.now() - started;
    const { timings } = await loaded.engine.setStack(entries, signal);
    switches.push({ stack, read: readTime + timings.read, merge: timings.merge, refit: timings.refit, total: performance.now() - started });
  };
  const load = async (reference: LoraReference): Promise<StackEntry> => ({
    delta: (await loaded.adapters.load(reference.file, signal)).delta,
    ...stackScales(reference),
  });
  for (const lora of loras) {
    await change(`${basename(lora.file)}:${lora.scale}`, async () => [await load(lora)]);
    await change(`${basename(lora.file)}:${lora.scale / 2}`, async () => [await load({ ...lora, scale: lora.scale / 2 })]);
  }
  if (loras.length > 1) await change("all of them", () => Promise.all(loras.map(load)));
  // Before the way back: the most that these LoRAs hold.
  const memory = loaded.engine.memory();
  if (loras.length > 0) await change("base", async () => []);
  return { switches, memory };
}
