import { access, readFile } from "node:fs/promises";
import { arch, cpus, platform, release, totalmem } from "node:os";
import { delimiter, join } from "node:path";
import { loadNativeAddon } from "../engines/native-addon.ts";
import { onnxRuntimeBackend } from "../engines/onnxruntime/backend.ts";
import { formatBytes } from "../formats/atomic-file.ts";
import type { JobContext } from "./context.ts";
import type { DoctorFinding, DoctorResult } from "./results.ts";
import { VERSION } from "./version.ts";

/** What was found on this machine and where; for what is missing, every place that was looked in and what to do. */
export async function doctor(context: JobContext): Promise<DoctorResult> {
  context.progress({ stage: "looking" });
  const findings = [
    node(),
    findOnnxRuntime(),
    findAddon(),
    await findDriver(),
    await findLibrary("TensorRT", process.platform === "win32" ? "nvinfer_10.dll" : "libnvinfer.so.10"),
    await findLibrary("TensorRT-RTX", process.platform === "win32" ? "tensorrt_rtx.dll" : "libtensorrt_rtx.so.1"),
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

/** Looks for a shared library without loading it. */
async function findLibrary(name: string, file: string): Promise<DoctorFinding> {
  const tried: { place: string; reason: string }[] = [];
  for (const folder of libraryFolders()) {
    const place = join(folder, file);
    if (await isThere(place)) {
      return {
        name,
        state: "unusable",
        where: place,
        tried,
        advice: "It is there, but this version runs on ONNX Runtime only.",
      };
    }
    tried.push({ place, reason: "the file does not exist" });
  }
  return { name, state: "missing", tried, advice: "Not needed: this version runs on ONNX Runtime." };
}

function libraryFolders(): string[] {
  const root = process.env["TENSORRT_ROOT"];
  const search = process.env[process.platform === "win32" ? "PATH" : "LD_LIBRARY_PATH"];
  const system = process.platform === "linux" ? [`/usr/lib/${arch() === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`, "/usr/local/lib"] : [];
  return [...(root ? [join(root, "lib")] : []), ...(search ?? "").split(delimiter).filter((folder) => folder !== ""), ...system];
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
