import { basename } from "node:path";
import { performance } from "node:perf_hooks";
import { UserError } from "../formats/errors.ts";
import { formatParameters } from "../formats/parameters.ts";
import { readPng, writePng } from "../formats/png.ts";
import { SafetensorsFile } from "../formats/safetensors.ts";
import { writeSafetensors } from "../formats/safetensors-writer.ts";
import type { Tensor } from "../formats/tensor.ts";
import type { StackEntry } from "../lora/delta.ts";
import { randomSeed } from "../pipeline/noise.ts";
import { extractLoras } from "../pipeline/prompt.ts";
import { resize } from "../pipeline/resize.ts";
import { generateImages, type ImageRequest } from "../pipeline/text-to-image.ts";
import { reportWarnings } from "./delta.ts";
import type { JobContext } from "./context.ts";
import type { EngineCache, LoadedBundle } from "./engine-cache.ts";
import { findLora } from "./lora-search.ts";
import type { GenerateOptions, LoraReference } from "./options.ts";
import { chooseImageFiles } from "./output-files.ts";
import type { GenerateResult, LoraReport } from "./results.ts";
import { checkImageSize } from "./image-size.ts";
import { stageProgress } from "./timing.ts";
import { VERSION } from "./version.ts";

/** Makes images with a bundle's engine and a stack of LoRAs, and writes them as PNG with their parameters. */
export async function generate(options: GenerateOptions, context: JobContext, engines: EngineCache): Promise<GenerateResult> {
  const { signal } = context;
  const started = performance.now();
  const files = await chooseImageFiles(options.output, options.batch, options.overwrite);
  const { prompt, loras: inPrompt } = extractLoras(options.prompt);
  const loaded = await engines.load(options.engine, options.backend, context);
  const { width, height } = checkImageSize(loaded.bundle, options);
  const loadTime = performance.now() - started;

  const references = [...options.lora];
  for (const { name, scale } of inPrompt) references.push({ file: await findLora(name, loaded.folder), scale });
  const stackStarted = performance.now();
  const { entries, reports } = await loadStack(loaded, references, signal);
  const stack = await loaded.engine.setStack(entries, signal);
  const stackTime = performance.now() - stackStarted;

  const seed = BigInt(options.seed ?? randomSeed());
  const report = stageProgress(context, "sampling");
  const request: ImageRequest = {
    positive: prompt,
    negative: options.negative,
    batch: options.batch,
    width,
    height,
    steps: options.steps,
    cfg: options.cfg,
    cfgRescale: options.cfgRescale,
    sampler: options.sampler,
    schedule: options.schedule,
    seed,
    ...(options.latents !== undefined && { noise: await readNoise(options.latents) }),
    ...(options.image !== undefined && {
      image: { picture: resize(await readPng(options.image), width, height), strength: options.strength },
    }),
    signal,
    onStep: (step, steps) => report(step, steps, `step ${step}/${steps}`),
  };
  const result = await generateImages(loaded, request);

  const parameters = describeParameters(options, loaded, { seed, width, height, references });
  for (const [index, file] of files.entries()) await writePng(file, result.images[index]!, parameters, signal);
  if (options.saveLatents !== undefined) await writeLatents(options.saveLatents, result.latents, signal);
  const warnings = [...stack.warnings, ...reports.flatMap((each) => each.warnings)];
  for (const warning of warnings) context.log("warn", warning);
  return {
    images: files,
    seed: String(seed),
    sigmas: result.sigmas,
    timings: {
      load: loadTime,
      stack: stackTime,
      encode: result.timings.encode,
      step: result.timings.step,
      decode: result.timings.decode,
      total: performance.now() - started,
    },
    loras: reports,
    warnings,
  };
}

async function loadStack(loaded: LoadedBundle, references: readonly LoraReference[], signal: AbortSignal | undefined) {
  const entries: StackEntry[] = [];
  const reports: LoraReport[] = [];
  for (const { file, scale } of references) {
    const { delta, report } = await loaded.adapters.load(file, signal);
    entries.push({ delta, scale });
    reports.push({
      file,
      scale,
      matched: report.matched.length,
      unmatched: report.unmatched.map(({ name, reason }) => ({ name, reason })),
      warnings: reportWarnings(report).map((warning) => `${file}: ${warning}`),
    });
  }
  return { entries, reports };
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
    return { dims: file.entry("latents").shape, data: await file.readFloat32("latents") };
  } finally {
    await file.close();
  }
}

async function writeLatents(path: string, { dims, data }: Tensor, signal: AbortSignal | undefined): Promise<void> {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  await writeSafetensors(path, [{ name: "latents", dtype: "F32", shape: dims, chunks: () => [bytes] }], {}, { signal });
}

interface Chosen {
  readonly seed: bigint;
  readonly width: number;
  readonly height: number;
  readonly references: readonly LoraReference[];
}

/** The text that is kept in the PNG: LoRAs that came by option are written into the prompt, so that it alone gives the picture again. */
function describeParameters(options: GenerateOptions, { bundle }: LoadedBundle, { seed, width, height }: Chosen): string {
  const tags = options.lora.map(({ file, scale }) => `<lora:${loraName(file)}:${scale}>`);
  return formatParameters({
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
  });
}

function loraName(file: string): string {
  return basename(file).replace(/\.(safetensors|trt_lora)$/i, "");
}
