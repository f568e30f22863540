import { performance } from "node:perf_hooks";
import type { Engine } from "../engines/engine.ts";
import type { LatentArithmetic } from "../engines/latents.ts";
import { throwIfCancelled, UserError } from "../formats/errors.ts";
import { elementCount, type Tensor } from "../formats/tensor.ts";
import type { Architecture } from "../models/architecture.ts";
import type { ModelConfiguration, VaeConfiguration } from "../models/configuration.ts";
import { tensorFromImages, type RgbImage } from "./image.ts";
import { latentsFromMoments } from "./latents.ts";
import { linearDecoder } from "./linear-decoder.ts";
import { randomTensor, TorchGenerator } from "./noise.ts";
import { previewImage, type LinearDecoder } from "./preview.ts";
import { sample } from "./samplers/sample.ts";
import type { SamplerName } from "./samplers/sampler.ts";
import { devicePlace, hostPlace, type RunInputs, type SamplingPlace } from "./sampling-place.ts";
import { initialLatents, makeSchedule, type ScheduleName } from "./schedule.ts";
import { sizeEmbeddings, uncroppedSizes } from "./size-embeddings.ts";
import { encodePrompts, type TextConditioning } from "./text-conditioning.ts";

/** A loaded engine and what it is an engine of. */
export interface Model {
  readonly engine: Engine;
  readonly architecture: Architecture;
  readonly configuration: ModelConfiguration;
}

export interface ImageRequest {
  /** One prompt for all images, or one an image; LoRA references are already taken out. */
  readonly positive: string | readonly string[];
  readonly negative: string | readonly string[];
  readonly batch: number;
  /** Pixels; multiples of the VAE's factor. */
  readonly width: number;
  readonly height: number;
  readonly steps: number;
  readonly cfg: number;
  readonly cfgRescale: number;
  readonly sampler: SamplerName;
  readonly schedule: ScheduleName;
  readonly seed: bigint;
  /** Unit-variance noise [B, C, h, w] to start from instead of the seed's. */
  readonly noise?: Tensor;
  /** img2img: the picture, already of the request's size, and how much of it is replaced (over 0 up to 1). */
  readonly image?: { readonly picture: RgbImage; readonly strength: number };
  /** How many tokens of context the engine takes. */
  readonly tokenRange?: { readonly min: number; readonly max: number } | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Every how many steps, and after the last, `onStep` is given a preview; 0 or absent: never. */
  readonly previewEvery?: number;
  /** @param preview the first image as the model sees it at this step, of the latents' size (`previewImage`) */
  onStep?(step: number, steps: number, preview?: RgbImage): void;
}

/** Milliseconds. */
export interface ImageTimings {
  readonly encode: number;
  /** One step, the median. */
  readonly step: number;
  readonly sample: number;
  readonly decode: number;
}

export interface ImageResult {
  readonly images: readonly RgbImage[];
  /** Final latents [B, C, h, w], before the VAE's scale is divided out. */
  readonly latents: Tensor;
  readonly sigmas: readonly number[];
  readonly timings: ImageTimings;
}

/** Makes images: encodes the prompts, samples latents from seeded noise, decodes them. */
export async function generateImages(model: Model, request: ImageRequest): Promise<ImageResult> {
  const vae = requireVae(model);
  const started = performance.now();
  const conditioning = await encode(model, request);
  checkTokens(conditioning, request);
  throwIfCancelled(request.signal);
  const encodeTime = performance.now() - started;
  const run = await prepareRun(model, request, conditioning, vae);
  const { timings, ...made } = await sampleOn(model.engine, run, request);
  return { ...made, sigmas: run.guidance.schedule.sigmas, timings: { encode: encodeTime, ...timings } };
}

/** On the GPU, where the engine is on one; else on the host. */
async function sampleOn(engine: Engine, run: PreparedRun, request: ImageRequest) {
  const { dims, inputs, guidance } = run;
  const device = await engine.startSampling?.({ dims, inputs, isGuided: guidance.cfg !== 1 });
  if (!device) return sampleAndDecode(hostPlace(engine, run), run, request);
  try {
    return await sampleAndDecode(devicePlace(device, run), run, request);
  } finally {
    await device.close();
  }
}

function requireVae({ configuration }: Model): VaeConfiguration {
  if (configuration.vae) return configuration.vae;
  throw new UserError("bundle.invalid", "The engine bundle has no VAE, so it cannot make images: export the checkpoint with one.");
}

function encode({ engine, architecture, configuration }: Model, request: ImageRequest): Promise<TextConditioning> {
  const encoders = configuration.textEncoders.map((encoder) => ({
    configuration: encoder,
    run: (inputIds: Tensor<Int32Array>, endPositions: Tensor<Int32Array>) =>
      engine.run(encoder.component, { input_ids: inputIds, end_positions: endPositions }),
  }));
  const { positive, negative, batch, cfg } = request;
  return encodePrompts({ positive, batch, ...(cfg !== 1 && { negative }) }, encoders, architecture);
}

function checkTokens({ context }: TextConditioning, { tokenRange }: ImageRequest): void {
  const tokens = context.dims[1]!;
  if (!tokenRange || (tokens >= tokenRange.min && tokens <= tokenRange.max)) return;
  throw new UserError(
    "option.invalid",
    `The prompts fill ${tokens} tokens; the engine takes from ${tokenRange.min} to ${tokenRange.max}. ` +
      "Change their length, or export the checkpoint again with --context for more.",
  );
}

/** A run with its noise drawn. */
interface PreparedRun extends RunInputs {
  /** Absent where no previews are made. */
  readonly previewDecoder: LinearDecoder | undefined;
  /** The sample at the schedule's first sigma. */
  readonly start: Float32Array;
  readonly generator: TorchGenerator;
}

async function prepareRun(
  model: Model,
  request: ImageRequest,
  conditioning: TextConditioning,
  vae: VaeConfiguration,
): Promise<PreparedRun> {
  const { engine, configuration } = model;
  const { batch, sampler, steps, cfg, cfgRescale } = request;
  const dims = latentDims(request, vae);
  const generator = new TorchGenerator(request.seed);
  const image = request.image ? await encodeImage(engine, request.image.picture, batch, vae, generator) : undefined;
  const noise = request.noise ?? randomTensor(generator, dims);
  const previewDecoder = request.previewEvery ? await linearDecoder(model, request) : undefined;
  const schedule = makeSchedule({
    schedule: request.schedule,
    sampler,
    steps,
    training: configuration,
    ...(request.image && { strength: request.image.strength }),
  });
  return {
    previewDecoder,
    dims,
    vae,
    generator,
    guidance: { schedule, cfg, cfgRescale },
    inputs: networkInputs(model, request, conditioning),
    start: initialLatents(schedule, noise.data, image),
  };
}

async function sampleAndDecode<L>(place: SamplingPlace<L>, run: PreparedRun, request: ImageRequest) {
  const { arithmetic } = place;
  const { dims, generator, start } = run;
  const { signal } = request;
  const began = performance.now();
  const stepTimes: number[] = [];
  let last = began;
  const options = {
    schedule: run.guidance.schedule,
    denoise: place.denoise,
    x: arithmetic.fromHost(start),
    randn: (count: number) => generator.randn(count),
    ...(signal && { signal }),
    onStep: async (step: number, total: number, denoised: L) => {
      const now = performance.now();
      stepTimes.push(now - last);
      last = now;
      const preview = isPreviewed(step, total, request) ? await makePreview(arithmetic, denoised, run) : undefined;
      request.onStep?.(step, total, preview);
    },
  };
  const x = await sample(request.sampler, options, { arithmetic, count: start.length });
  const latents = { dims, data: await arithmetic.toHost(x) };
  throwIfCancelled(signal);
  const sampled = performance.now();
  const images = await decodeLatents(place, x, dims[0]!, signal);
  const timings = { step: median(stepTimes), sample: sampled - began, decode: performance.now() - sampled };
  return { images, latents, timings };
}

function isPreviewed(step: number, total: number, { previewEvery = 0 }: ImageRequest): boolean {
  return previewEvery > 0 && (step % previewEvery === 0 || step === total);
}

async function makePreview<L>(arithmetic: LatentArithmetic<L>, denoised: L, { dims, previewDecoder }: PreparedRun) {
  return previewDecoder && previewImage(await arithmetic.toHost(denoised), dims, previewDecoder);
}

/** What stays the same at every step: the context, and for the SDXL family the pooled text with the sizes. */
function networkInputs({ architecture }: Model, { width, height }: ImageRequest, conditioning: TextConditioning): Record<string, Tensor> {
  const { context, pooled, negativeRows } = conditioning;
  if (!pooled || (architecture !== "sdxl" && architecture !== "sdxl-refiner")) return { context };
  return { context, y: sizeEmbeddings(architecture, pooled, uncroppedSizes(height, width), negativeRows) };
}

function latentDims({ batch, width, height, noise }: ImageRequest, { latentChannels, factor }: VaeConfiguration): number[] {
  for (const [name, size] of [
    ["Width", width],
    ["Height", height],
  ] as const) {
    if (size % factor === 0) continue;
    const lower = Math.max(factor, Math.floor(size / factor) * factor);
    throw new UserError("option.invalid", `${name} ${size} is not a multiple of ${factor}: use ${lower} or ${lower + factor}.`);
  }
  const dims = [batch, latentChannels, height / factor, width / factor];
  if (noise && (noise.dims.join() !== dims.join() || noise.data.length !== elementCount(dims))) {
    throw new UserError(
      "option.invalid",
      `The given latents have the shape [${noise.dims.join(", ")}]; this run needs [${dims.join(", ")}].`,
    );
  }
  return dims;
}

/** The picture's latents, scaled as the model takes them, once for each image of the batch. */
async function encodeImage(engine: Engine, picture: RgbImage, batch: number, vae: VaeConfiguration, generator: TorchGenerator) {
  if (!engine.components.includes("vae_encoder")) {
    throw new UserError(
      "bundle.invalid",
      "The engine bundle has no vae_encoder, which image to image needs: export it again with that component.",
    );
  }
  const { moments } = await engine.run("vae_encoder", { image: tensorFromImages([picture]) });
  const [, doubled, height, width] = moments!.dims as [number, number, number, number];
  const one = latentsFromMoments(moments!, randomTensor(generator, [1, doubled / 2, height, width]), vae);
  const all = new Float32Array(one.data.length * batch);
  for (let i = 0; i < batch; i++) all.set(one.data, i * one.data.length);
  return all;
}

/** Turns latents into pictures, one at a time: the decoder's memory grows with what it decodes at once. */
async function decodeLatents<L>(place: SamplingPlace<L>, latents: L, batch: number, signal?: AbortSignal): Promise<RgbImage[]> {
  const images: RgbImage[] = [];
  for (let image = 0; image < batch; image++) {
    throwIfCancelled(signal);
    images.push(await place.decode(latents, image));
  }
  return images;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}
