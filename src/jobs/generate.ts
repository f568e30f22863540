import { performance } from "node:perf_hooks";
import { throwIfCancelled, UserError } from "../formats/errors.ts";
import { findNonFinite } from "../formats/numbers.ts";
import type { GenerationParameters } from "../formats/generation-parameters.ts";
import { formatParameters } from "../formats/parameters.ts";
import { encodePng, readPng, writePng } from "../formats/png.ts";
import type { RgbImage } from "../formats/rgb-image.ts";
import { SafetensorsFile } from "../formats/safetensors.ts";
import { writeSafetensors } from "../formats/safetensors-writer.ts";
import type { Tensor } from "../formats/tensor.ts";
import { randomSeed } from "../pipeline/noise.ts";
import { extractLoras, loraReference } from "../pipeline/prompt.ts";
import { resize } from "../pipeline/resize.ts";
import { generateImages, type ImageRequest } from "../pipeline/text-to-image.ts";
import type { JobContext, Preview } from "./context.ts";
import type { EngineCache, LoadedBundle } from "./engine-cache.ts";
import { findLora, loraName } from "./lora-search.ts";
import type { GenerateOptions } from "./options.ts";
import { checkOutputFile, chooseImageFiles } from "./output-files.ts";
import type { GenerateResult } from "./results.ts";
import { checkComponents, checkImageSize } from "./image-size.ts";
import { stageProgress } from "./timing.ts";
import { VERSION } from "./version.ts";

/** Makes images with a bundle's engine and a stack of LoRAs, and writes them as PNG with their parameters. */
export async function generate(options: GenerateOptions, context: JobContext, engines: EngineCache): Promise<GenerateResult> {
  const started = performance.now();
  const files = await chooseImageFiles(options.output, options.batch, options.overwrite);
  if (options.saveLatents !== undefined) await checkOutputFile(options.saveLatents, options.overwrite);
  const { images, latents, parameters, timings, ...drawn } = await drawImages(options, context, engines);
  const text = formatParameters(parameters);
  for (const [index, file] of files.entries()) await writePng(file, images[index]!, text, context.signal);
  if (options.saveLatents !== undefined) await writeLatents(options.saveLatents, latents, context.signal);
  return { images: files, ...drawn, timings: { ...timings, total: performance.now() - started } };
}

/** Pictures that are not written yet, and what they were made with. */
export interface DrawnImages extends Omit<GenerateResult, "images"> {
  readonly images: readonly RgbImage[];
  /** Before the VAE's scale is divided out. */
  readonly latents: Tensor;
  readonly parameters: GenerationParameters;
}

/** Makes the images of `generate`; writes no file. */
export async function drawImages(options: GenerateOptions, context: JobContext, engines: EngineCache): Promise<DrawnImages> {
  const started = performance.now();
  const loaded = await engines.load(options.engine, options.backend, context, options.base);
  checkComponents(loaded, options);
  const request = await makeRequest(options, loaded, context);
  const loadTime = performance.now() - started;
  return loaded.jobs.run(async () => {
    throwIfCancelled(context.signal);
    const { loras, warnings, time: stackTime } = await changeStack(options, loaded, context);
    const { images, latents, sigmas, timings } = await generateImages(loaded, request);
    const notices = loaded.engine.notices?.() ?? [];
    for (const notice of notices) context.log("warn", notice);
    const { encode, step, decode } = timings;
    return {
      images,
      latents,
      parameters: describeParameters(options, loaded, request),
      seed: String(request.seed),
      sigmas,
      timings: { load: loadTime, stack: stackTime, encode, step, decode, total: performance.now() - started },
      loras,
      warnings: [...warnings, ...notices],
    };
  });
}

/** What is asked of the pipeline; its files are read here, so that a bad one is known before anything is computed. */
async function makeRequest(options: GenerateOptions, { bundle }: LoadedBundle, context: JobContext): Promise<ImageRequest> {
  const { width, height } = checkImageSize(bundle, options);
  const report = stageProgress(context, "sampling");
  const { negative, batch, steps, cfg, cfgRescale, sampler, schedule, strength, previewEvery } = options;
  return {
    positive: extractLoras(options.prompt).prompt,
    negative,
    batch,
    width,
    height,
    steps,
    cfg,
    cfgRescale,
    sampler,
    schedule,
    seed: BigInt(options.seed ?? randomSeed()),
    tokenRange: bundle.components.find(({ component }) => component === "unet")?.profile.context,
    ...(options.latents !== undefined && { noise: await readNoise(options.latents) }),
    ...(options.image !== undefined && { image: { picture: resize(await readPng(options.image), width, height), strength } }),
    signal: context.signal,
    previewEvery,
    onStep: (step, total, preview) => report(step, total, `step ${step}/${total}`, preview && toPreview(preview)),
  };
}

function toPreview(picture: RgbImage): Preview {
  const { width, height } = picture;
  return { width, height, data: Buffer.from(encodePng(picture)).toString("base64") };
}

/** Gives the engine the LoRAs of the options and of the prompt. */
async function changeStack(options: GenerateOptions, loaded: LoadedBundle, context: JobContext) {
  const started = performance.now();
  const references = [...options.lora];
  for (const { name, ...strengths } of extractLoras(options.prompt).loras) {
    references.push({ file: await findLora(name, loaded.folder), ...strengths });
  }
  const { loras, warnings } = await loaded.stack.apply(references, context.signal);
  for (const warning of warnings) context.log("warn", warning);
  return { loras, warnings, time: performance.now() - started };
}

/** Unit-variance noise from a safetensors file: its tensor `latents`. */
async function readNoise(path: string): Promise<Tensor> {
  const file = await SafetensorsFile.open(path);
  try {
    if (!file.tensors.has("latents")) {
      throw new UserError(
        "option.invalid",
        `${path} has no tensor "latents". --latents takes unit-variance noise [B, C, h, w] under that name.`,
      );
    }
    const data = await file.readFloat32("latents");
    const { nan, inf } = findNonFinite(data);
    if (nan + inf > 0) {
      throw new UserError("option.invalid", `${path}: the latents hold ${nan} NaN and ${inf} infinite values. Write them again.`);
    }
    return { dims: file.entry("latents").shape, data };
  } finally {
    await file.close();
  }
}

async function writeLatents(path: string, { dims, data }: Tensor, signal: AbortSignal | undefined): Promise<void> {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  await writeSafetensors(path, [{ name: "latents", dtype: "F32", shape: dims, chunks: () => [bytes] }], {}, { signal });
}

/** What is kept in the PNG: LoRAs that came by option are written into the prompt, so that it alone gives the picture again. */
function describeParameters(
  options: GenerateOptions,
  { bundle }: LoadedBundle,
  { seed, width, height }: ImageRequest,
): GenerationParameters {
  const tags = options.lora.map(({ file, ...strengths }) => loraReference({ name: loraName(file), ...strengths }));
  return {
    prompt: [options.prompt, ...tags].join(" ").trim(),
    negativePrompt: options.negative,
    steps: options.steps,
    sampler: options.sampler,
    schedule: options.schedule,
    cfgScale: options.cfg,
    seed: String(seed),
    size: { width, height },
    modelHash: bundle.checkpoint.fingerprint.slice(0, 10),
    model: bundle.name,
    ...(options.image !== undefined && { denoisingStrength: options.strength }),
    version: `TensorRT Redux ${VERSION}`,
    others: new Map(options.cfgRescale > 0 ? [["CFG rescale", String(options.cfgRescale)]] : []),
  };
}
