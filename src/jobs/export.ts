import { stat } from "node:fs/promises";
import { basename, extname, relative, resolve } from "node:path";
import { buildFolderAtomically } from "../formats/atomic-file.ts";
import { ENGINE_BUNDLE_VERSION, writeEngineBundle, type EngineBundle } from "../formats/engine-bundle.ts";
import { UserError } from "../formats/errors.ts";
import type { WeightHasher } from "../engines/weight-hashes.ts";
import { fingerprintOfFiles } from "../formats/fingerprint.ts";
import type { WeightDtype } from "../formats/numbers.ts";
import { SafetensorsFile } from "../formats/safetensors.ts";
import { ARCHITECTURE_LABEL, type Architecture, type Component } from "../models/architecture.ts";
import type { Checkpoint } from "../models/checkpoint.ts";
import { openCheckpoint } from "../models/open-checkpoint.ts";
import type { BackendName, PlanOptions } from "../engines/backend.ts";
import { chooseBackend } from "./backends.ts";
import type { JobContext } from "./context.ts";
import type { ExportOptions, Precision } from "./options.ts";
import { chooseProfile, nativeSize, profileOf } from "./profile.ts";
import { refuseOtherThanBundle } from "./replaced-folder.ts";
import type { ExportResult } from "./results.ts";
import { stageProgress } from "./timing.ts";

/** What a complete checkpoint of an architecture has. */
const COMPLETE: Readonly<Partial<Record<Architecture, readonly Component[]>>> = {
  sd1: ["unet", "text_encoder", "vae_encoder", "vae_decoder"],
  sd2: ["unet", "text_encoder", "vae_encoder", "vae_decoder"],
  sdxl: ["unet", "text_encoder", "text_encoder_2", "vae_encoder", "vae_decoder"],
  "sdxl-refiner": ["unet", "text_encoder_2", "vae_encoder", "vae_decoder"],
};

/** Makes an engine bundle of a checkpoint: everything appears under its name at the end, or nothing does. */
export async function exportEngine(options: ExportOptions, context: JobContext, hasher: WeightHasher): Promise<ExportResult> {
  const { signal } = context;
  const backend = chooseBackend(options.backend);
  const weightDtype = storedDtype(options.precision);
  context.progress({ stage: "reading the checkpoint", fraction: 0 });
  const checkpoint = await openCheckpoint(options.checkpoint);
  const components = chooseComponents(checkpoint, options.components);
  const profile = chooseProfile(options, backend.name, nativeSize(checkpoint.architecture, await metadataOf(checkpoint)));
  const name = options.name ?? nameOf(options.output ?? options.checkpoint);
  const folder = resolve(options.output ?? name);
  if (options.overwrite) await refuseOtherThanBundle(folder);
  const bundle = await buildFolderAtomically(
    folder,
    async (temporary) => {
      const stages = new Map<string, ReturnType<typeof stageProgress>>();
      const onProgress = (stage: string, fraction: number) => {
        if (!stages.has(stage)) stages.set(stage, stageProgress(context, stage));
        stages.get(stage)!(fraction, 1);
      };
      const built = await backend.build({
        checkpoint,
        components,
        precision: weightDtype,
        profileOf: (component) => profileOf(component, profile),
        folder: temporary,
        hasher,
        plan: planOptions(options),
        signal,
        onProgress,
      });
      const selfTest = await backend.selfTest?.({ checkpoint, folder: temporary, built, signal, onProgress });
      const described: EngineBundle = {
        formatVersion: ENGINE_BUNDLE_VERSION,
        name,
        architecture: checkpoint.architecture,
        configuration: { ...checkpoint.configuration },
        precision: options.precision ?? precisionOf(checkpoint),
        backend: { name: backend.name, version: backend.version() },
        ...(built.computeCapability !== undefined && { computeCapability: built.computeCapability }),
        components: built.components,
        weightFiles: [...built.weightFiles],
        checkpoint: {
          name: basename(checkpoint.path),
          bytes: await totalBytes(checkpoint.files),
          fingerprint: await fingerprintOfFiles(checkpoint.files),
        },
        exportOptions: recordedOptions(options, folder),
        ...(selfTest && { selfTest }),
      };
      await writeEngineBundle(temporary, described);
      return { described, warnings: [...built.warnings, ...ignoredWarnings(options, backend.name)] };
    },
    { signal, overwrite: options.overwrite },
  );
  for (const warning of bundle.warnings) context.log("warn", warning);
  return {
    bundle: folder,
    components: bundle.described.components.map(({ component, engine, onnx, bytes }) => ({
      component: component as Component,
      file: (engine ?? onnx)!,
      bytes,
    })),
    ...(bundle.described.selfTest && { selfTest: bundle.described.selfTest }),
    warnings: bundle.warnings,
  };
}

/** What the same bundle is exported with again, wherever the two then lie beside one another. */
function recordedOptions(options: ExportOptions, folder: string): Record<string, unknown> {
  const recorded = { ...options, checkpoint: relative(folder, resolve(options.checkpoint)) };
  return Object.fromEntries(Object.entries(recorded).filter(([name]) => name !== "output" && name !== "overwrite"));
}

const MEBIBYTE = 2 ** 20;

function planOptions({ refit, optimizationLevel, workspace, keepOnnx, timingCache, computeCapability }: ExportOptions): PlanOptions {
  return {
    refit,
    optimizationLevel,
    workspaceBytes: workspace === undefined ? undefined : workspace * MEBIBYTE,
    keepOnnx,
    timingCacheFolder: timingCache,
    computeCapabilities: computeCapability?.map((text) => Math.round(10 * Number(text))),
  };
}

/**
 * ONNX Runtime compiles nothing and is fed the weights at every run: exactly those that a LoRA reaches can be changed, and there is nothing
 * to choose. TensorRT builds for the GPU that is here, and only TensorRT-RTX for others.
 */
function ignoredWarnings(options: ExportOptions, backend: BackendName): string[] {
  const { refit, optimizationLevel, workspace, timingCache, computeCapability } = options;
  const plans = [
    ...(refit === "individual" ? [] : [`--refit ${refit}`]),
    ...(optimizationLevel === undefined ? [] : [`--optimization-level ${optimizationLevel}`]),
    ...(workspace === undefined ? [] : [`--workspace ${workspace}`]),
    ...(timingCache === undefined ? [] : [`--timing-cache ${timingCache}`]),
  ];
  const targets = computeCapability === undefined ? [] : [`--compute-capability ${computeCapability.join(",")}`];
  if (backend === "tensorrt-rtx") return [];
  if (backend === "tensorrt") return targets.map((option) => `${option} has no effect: TensorRT builds for the GPU that is here`);
  return [...plans, ...targets].map((option) => `${option} has no effect on ONNX Runtime`);
}

/** What the training tool wrote into the file's header; the files of a diffusers folder say nothing of the model. */
async function metadataOf({ layout, files }: Checkpoint): Promise<ReadonlyMap<string, string>> {
  if (layout === "diffusers") return new Map();
  const file = await SafetensorsFile.open(files[0]!);
  await file.close();
  return file.metadata;
}

function nameOf(path: string): string {
  const file = basename(resolve(path));
  return extname(file) === ".safetensors" ? file.slice(0, -".safetensors".length) : file;
}

function storedDtype(precision: Precision | undefined): WeightDtype | undefined {
  if (precision === undefined) return undefined;
  if (precision === "fp16") return "F16";
  if (precision === "bf16") return "BF16";
  if (precision === "fp32") return "F32";
  throw new UserError("option.invalid", `--precision ${precision} cannot be built by this version; choose fp16, bf16 or fp32.`);
}

const PRECISION_NAME: Readonly<Record<string, Precision>> = { F16: "fp16", BF16: "bf16", F32: "fp32" };

/** The type that most of the checkpoint's parameters are stored in. */
function precisionOf({ components }: Checkpoint): Precision {
  const bytes = new Map<string, number>();
  for (const table of components.values()) {
    for (const { dtype, length } of table.values()) bytes.set(dtype, (bytes.get(dtype) ?? 0) + length);
  }
  const most = [...bytes].toSorted((a, b) => b[1] - a[1])[0]?.[0] ?? "F32";
  return PRECISION_NAME[most] ?? "fp32";
}

/** The components to export: those asked for, else all that the architecture has, each of which must be in the checkpoint. */
function chooseComponents(checkpoint: Checkpoint, wanted: readonly Component[] | undefined): readonly Component[] {
  const complete = COMPLETE[checkpoint.architecture] ?? [];
  const chosen = wanted ?? complete;
  const missing = chosen.filter((component) => !checkpoint.components.has(component));
  if (missing.length === 0) return chosen;
  const label = ARCHITECTURE_LABEL[checkpoint.architecture];
  const present = complete.filter((component) => checkpoint.components.has(component));
  throw new UserError(
    "checkpoint.incomplete",
    `${checkpoint.path} (${label}) has no ${missing.join(" and no ")}. Use a complete checkpoint, or leave it out with --components ${present.join(",")}.`,
  );
}

async function totalBytes(files: readonly string[]): Promise<number> {
  let total = 0;
  for (const file of files) total += (await stat(file)).size;
  return total;
}
