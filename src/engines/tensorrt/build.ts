import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { BundleComponent, RefittableWeight } from "../../formats/engine-bundle.ts";
import { componentFileNames } from "../../formats/engine-profile.ts";
import { assertSpace, formatBytes } from "../../formats/atomic-file.ts";
import { DTYPE_BITS, isDtype } from "../../formats/dtype.ts";
import { throwIfCancelled, UserError } from "../../formats/errors.ts";
import type { WeightDtype } from "../../formats/numbers.ts";
import { elementCount } from "../../formats/tensor.ts";
import { writeWeightManifest } from "../../formats/weight-manifest.ts";
import type { Component } from "../../models/architecture.ts";
import type { Checkpoint, Weight } from "../../models/checkpoint.ts";
import { emitComponent, tensorrtTarget, writeGraph, type EmittedGraph, type GraphTarget } from "../../models/graph/emit.ts";
import type { BuildRequest, BuiltBundle, PlanOptions } from "../backend.ts";
import { convertWeights, isStoredAs, linkWeights, type WeightFiles } from "../weight-files.ts";
import { hashWeights, nonFiniteWarnings } from "../weight-hashes.ts";
import { checkBuildMemory } from "./build-memory.ts";
import { fixStaticSizes, inputRanges } from "./input-shapes.ts";
import { capabilityText, findGpu, RTX_CAPABILITIES } from "./gpu.ts";
import { timingCacheFile } from "./kept-files.ts";
import { requireTensorRt, type FoundLibrary, type TensorRtName } from "./library-search.ts";
import { settle, type NativeGpu } from "./native.ts";

type Library = NonNullable<FoundLibrary["library"]>;

/** Bfloat16 arithmetic begins with Ampere. */
const BF16_CAPABILITY = 80;
/** What an RTX plan is for where there is no GPU to ask: Ampere, Ada and Blackwell cards. */
const COMMON_CAPABILITIES = [80, 86, 89, 120];

/** What the plans are built for. */
interface BuildTarget {
  readonly library: Library;
  readonly gpu: NativeGpu | undefined;
  readonly capabilities: readonly number[];
  readonly refit: NonNullable<PlanOptions["refit"]>;
  readonly warnings: readonly string[];
}

/** Builds a plan for each component. The graphs' weights stand in the bundle's weight files, from which TensorRT reads them. */
export async function buildForTensorRt(name: TensorRtName, request: BuildRequest): Promise<BuiltBundle> {
  const { checkpoint, components, signal } = request;
  const target = chooseTarget(name, request.plan ?? {});
  const dtype = request.precision ?? mostCommonDtype(checkpoint);
  const graphs = components.map((component) => {
    const weights = checkpoint.components.get(component)!;
    return { component, graph: emitComponent(component, weights, checkpoint.configuration, graphTarget(component, dtype, target)) };
  });
  const needs = await checkRoom(graphs, target, request);
  const needed = new Map<string, Weight>();
  for (const { component, graph } of graphs) {
    for (const weight of graph.weights.keys()) needed.set(weight, checkpoint.components.get(component)!.get(weight)!);
  }
  const weightFiles = await placeWeights([...needed.values()], dtype, request);
  const hashes = await hashWeights(request.hasher, request.folder, weightFiles.places, needed, {
    signal,
    onProgress: (done, total) => request.onProgress("hashing weights", done / total),
  });
  const built: BundleComponent[] = [];
  for (const { component, graph } of graphs) {
    throwIfCancelled(signal);
    const described = await buildComponent(component, graph, weightFiles, { ...target, need: needs.get(component)! }, request);
    const manifest = new Map([...graph.weights.keys()].map((weight) => [weight, hashes.get(weight)!.entry]));
    await writeWeightManifest(join(request.folder, described.weights), manifest);
    built.push(described);
  }
  return {
    components: built,
    weightFiles: weightFiles.files,
    places: weightFiles.places,
    warnings: [...target.warnings, ...nonFiniteWarnings(hashes)],
    ...(target.gpu && target.capabilities.length === 0 && { computeCapability: capabilityText(target.gpu.computeCapability) }),
  };
}

/**
 * What the build of each component needs, in words. Throws "gpu.memory" or "disk.full" before anything is built where one of them cannot
 * fit: nobody waits ten minutes for that.
 */
async function checkRoom(
  graphs: readonly { readonly component: Component; readonly graph: EmittedGraph }[],
  { gpu }: BuildTarget,
  { folder, onProgress }: BuildRequest,
): Promise<Map<Component, string>> {
  const bytes = new Map(graphs.map(({ component, graph }) => [component, weightBytes(graph)]));
  const needs = new Map(Array.from(bytes, ([component, size]) => [component, checkBuildMemory(component, size, gpu)]));
  const total = [...bytes.values()].reduce((sum, size) => sum + size, 0);
  await assertSpace(folder, total, "the engines");
  const [largest] = Array.from(bytes).toSorted((a, b) => b[1] - a[1])[0]!;
  onProgress(`planning (the ${largest} needs ${needs.get(largest)!}, all engines ${formatBytes(total)} on the disk)`, 1);
  return needs;
}

function weightBytes({ weights }: EmittedGraph): number {
  return [...weights.values()].reduce((sum, { shape, dtype }) => sum + (elementCount(shape) * DTYPE_BITS[dtype]) / 8, 0);
}

function chooseTarget(name: TensorRtName, plan: PlanOptions): BuildTarget {
  const library = requireTensorRt(name);
  const refit = plan.refit ?? "individual";
  const chosen = plan.computeCapabilities ?? [];
  const gpu = findGpu();
  if (name === "tensorrt") {
    if (typeof gpu === "string") throw new UserError("gpu.unavailable", `TensorRT builds engines on the GPU that runs them. ${gpu}`);
    return { library, gpu, capabilities: [], refit, warnings: [] };
  }
  checkCapabilities(chosen);
  if (typeof gpu !== "string" && RTX_CAPABILITIES.includes(gpu.computeCapability)) {
    return { library, gpu, capabilities: chosen, refit, warnings: [] };
  }
  if (typeof gpu !== "string" && chosen.length === 0) {
    throw new UserError(
      "gpu.unavailable",
      `TensorRT-RTX does not run on ${gpu.name} (compute capability ${capabilityText(gpu.computeCapability)}). Use --backend tensorrt, or build for another GPU with --compute-capability.`,
    );
  }
  const warnings = refit === "none" ? [] : ["TensorRT-RTX cannot build refittable engines without a GPU: LoRAs do not work with these."];
  return { library, gpu: undefined, capabilities: chosen.length > 0 ? chosen : COMMON_CAPABILITIES, refit: "none", warnings };
}

function checkCapabilities(chosen: readonly number[]): void {
  const unknown = chosen.find((capability) => !RTX_CAPABILITIES.includes(capability));
  if (unknown === undefined) return;
  const known = RTX_CAPABILITIES.map(capabilityText).join(", ");
  throw new UserError("option.invalid", `--compute-capability ${capabilityText(unknown)}: TensorRT-RTX builds for ${known}.`);
}

/**
 * The autoencoders of SDXL overflow in fp16, so they compute in bf16, which has fp32's range; the stored weights are the same. GPUs
 * before Ampere have no bf16 and take fp32.
 */
function graphTarget(component: Component, dtype: WeightDtype, { gpu, capabilities }: BuildTarget): GraphTarget {
  if (dtype !== "F16" || !component.startsWith("vae")) return tensorrtTarget(dtype);
  const oldest = capabilities.length > 0 ? Math.min(...capabilities) : (gpu?.computeCapability ?? 0);
  return tensorrtTarget(oldest >= BF16_CAPABILITY ? "BF16" : "F32", dtype);
}

function mostCommonDtype({ components }: Checkpoint): WeightDtype {
  const bytes = { F16: 0, BF16: 0, F32: 0 };
  for (const table of components.values()) {
    for (const { dtype, length } of table.values()) if (dtype in bytes) bytes[dtype as WeightDtype] += length;
  }
  return (Object.entries(bytes) as [WeightDtype, number][]).toSorted((a, b) => b[1] - a[1])[0]![0];
}

async function placeWeights(weights: readonly Weight[], dtype: WeightDtype, request: BuildRequest): Promise<WeightFiles> {
  const { folder, signal, onProgress } = request;
  if (isStoredAs(weights, dtype)) {
    return linkWeights(weights, folder, { signal, onProgress: (done, total) => onProgress("linking weights", done / total) });
  }
  return convertWeights(weights, dtype, folder, {
    signal,
    onProgress: (done, total) => onProgress("converting weights", done / total),
  });
}

async function buildComponent(
  component: Component,
  graph: EmittedGraph,
  weights: WeightFiles,
  target: BuildTarget & { readonly need: string },
  request: BuildRequest,
): Promise<BundleComponent> {
  const { folder, plan = {}, onProgress, signal } = request;
  const { library, gpu, refit, need } = target;
  const profile = request.profileOf(component);
  const files = componentFileNames(component, profile);
  const ranges = inputRanges(component, graph, profile);
  const onnx = join(folder, files.onnx);
  await writeGraph(onnx, fixStaticSizes(graph, ranges), (name) => {
    const { file, dtype, offset, length } = weights.places.get(name)!;
    return { location: file, dtype, offset, length };
  });
  const stage = `building ${component} (${need})`;
  onProgress(stage, 0);
  const isReachable = graph.refittable.length > 0;
  const task = library.addon.build(
    {
      library: library.folder,
      onnx,
      plan: join(folder, files.engine),
      ...(gpu && { timingCache: await timingCacheFile(plan.timingCacheFolder, library, gpu) }),
      profile: ranges,
      refit: isReachable ? refit : "none",
      refittable: isReachable && refit === "individual" ? graph.refittable : [],
      ...(plan.optimizationLevel !== undefined && { optimizationLevel: plan.optimizationLevel }),
      ...(plan.workspaceBytes !== undefined && { workspaceBytes: plan.workspaceBytes }),
      computeCapabilities: target.capabilities,
    },
    (_phase, fraction) => onProgress(stage, fraction),
  );
  await settle(task, signal);
  if (!plan.keepOnnx) await rm(onnx);
  const { size } = await stat(join(folder, files.engine));
  return {
    component,
    engine: files.engine,
    ...(plan.keepOnnx && { onnx: files.onnx }),
    weights: files.weights,
    bytes: size,
    profile,
    refittable: refit === "none" ? [] : graph.refittable.map((name) => describeWeight(name, graph, weights)),
  };
}

function describeWeight(name: string, graph: EmittedGraph, weights: WeightFiles): RefittableWeight {
  const { file, dtype, offset, length } = weights.places.get(name)!;
  if (!isDtype(dtype)) throw new Error(`"${name}" has the unknown dtype ${dtype}.`);
  return { name, shape: [...graph.weights.get(name)!.shape], dtype, file, offset, length };
}
