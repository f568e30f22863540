import { access, readFile } from "node:fs/promises";
import { arch, cpus, platform, release, totalmem } from "node:os";
import { join } from "node:path";
import { loadNativeAddon } from "../engines/native-addon.ts";
import { onnxRuntimeBackend } from "../engines/onnxruntime/backend.ts";
import { capabilityText, findGpu } from "../engines/tensorrt/gpu.ts";
import { formatBytes } from "../formats/atomic-file.ts";
import type { JobContext } from "./context.ts";
import { findTensorRtLibrary } from "./doctor-tensorrt.ts";
import type { LoadedBundle } from "./engine-cache.ts";
import type { DoctorFinding, DoctorResult } from "./results.ts";
import { VERSION } from "./version.ts";

/**
 * What was found on this machine and where; for what is missing, every place that was looked in and what to do.
 * @param loaded the engines in this process, whose memory is told
 */
export async function doctor(context: JobContext, loaded: readonly LoadedBundle[]): Promise<DoctorResult> {
  context.progress({ stage: "looking" });
  const findings = [
    node(),
    findOnnxRuntime(),
    findAddon(),
    await findDriver(),
    describeGpu(),
    findTensorRtLibrary("tensorrt"),
    findTensorRtLibrary("tensorrt-rtx"),
    ...loaded.map(describeEngine),
  ];
  const model = cpus()[0]?.model.trim() ?? "unknown processor";
  return {
    version: VERSION,
    platform: `${platform()} ${release()} ${arch()}, ${model} × ${cpus().length}, ${formatBytes(totalmem())} of memory`,
    findings,
  };
}

function node(): DoctorFinding {
  return { name: "Node.js", state: "found", version: process.versions.node, where: process.execPath, tried: [] };
}

function findOnnxRuntime(): DoctorFinding {
  const name = "ONNX Runtime (CPU)";
  try {
    return { name, state: "found", version: onnxRuntimeBackend.version(), where: "onnxruntime-node", tried: [] };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return {
      name,
      state: "unusable",
      tried: [{ place: "onnxruntime-node", reason }],
      advice: "Install the extension's build for this platform.",
    };
  }
}

function findAddon(): DoctorFinding {
  const name = "Native add-on";
  const found = loadNativeAddon();
  if (!found.addon) {
    return {
      name,
      state: "missing",
      tried: [{ place: found.file, reason: found.reason }],
      advice: "Everything works without it; LoRA stacks change more slowly.",
    };
  }
  const { version, kernels, buildType, compiler } = found.version;
  return { name, state: "found", version: `${version} (${kernels}, ${buildType}, ${compiler})`, where: found.file, tried: [] };
}

/** NVIDIA's kernel driver, as Linux shows it; on Windows, its user-mode library. */
async function findDriver(): Promise<DoctorFinding> {
  const name = "NVIDIA driver";
  const advice = "Without an NVIDIA GPU everything runs on ONNX Runtime's CPU provider.";
  if (process.platform === "win32") {
    const place = join(process.env["SystemRoot"] ?? "C:\\Windows", "System32", "nvcuda.dll");
    const exists = await isThere(place);
    if (exists) return { name, state: "found", where: place, tried: [] };
    return { name, state: "missing", tried: [{ place, reason: "the file does not exist" }], advice };
  }
  const place = "/proc/driver/nvidia/version";
  const text = await readFile(place, "utf8").catch(() => undefined);
  if (text === undefined) return { name, state: "missing", tried: [{ place, reason: "the file does not exist" }], advice };
  const version = /\b(\d{3,}\.\d+(?:\.\d+)?)\b/.exec(text)?.[1];
  return { name, state: "found", ...(version !== undefined && { version }), where: place, tried: [] };
}

function describeGpu(): DoctorFinding {
  const name = "GPU";
  const gpu = findGpu();
  if (typeof gpu === "string") {
    const advice = "TensorRT runs on NVIDIA GPUs of compute capability 7.5 and above.";
    return { name, state: "missing", tried: [{ place: "NVIDIA driver", reason: gpu }], advice };
  }
  const cuda = `CUDA ${Math.floor(gpu.driver / 1000)}.${Math.floor((gpu.driver % 1000) / 10)}`;
  const version = `${gpu.name}, compute capability ${capabilityText(gpu.computeCapability)}, ${cuda}, ${formatBytes(gpu.freeBytes)} of ${formatBytes(gpu.totalBytes)} free`;
  return { name, state: "found", version, tried: [] };
}

function describeEngine({ folder, bundle, engine }: LoadedBundle): DoctorFinding {
  const { base, merged, gpu } = engine.memory();
  const held = gpu
    ? `on the GPU ${formatBytes(gpu.plan)} of plans, ${formatBytes(gpu.contexts)} of contexts, ${formatBytes(gpu.base)} of base weights; on the host ${formatBytes(base - gpu.base + merged)}`
    : `${formatBytes(base)} of base weights, ${formatBytes(merged)} of merged ones`;
  return { name: `Engine ${bundle.name} in memory`, state: "found", version: `${engine.backend}, ${held}`, where: folder, tried: [] };
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
