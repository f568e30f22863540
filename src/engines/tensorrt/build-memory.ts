import { freemem } from "node:os";
import { formatBytes } from "../../formats/atomic-file.ts";
import { UserError } from "../../formats/errors.ts";
import type { NativeGpu } from "./native.ts";

/** Of the host, in weights: the parser's copy, TensorRT's own and the finished plan stand beside one another. */
const HOST_COPIES = 3;
/** Of the GPU: the weights, and kernels that are tried with scratch memory of their own. */
const GPU_COPIES = 1.3;
const GPU_SCRATCH = 1024 ** 3;

/**
 * What a build needs, as text: "about 15 GB of memory, 7.6 GB on the GPU". Throws "gpu.memory" where it cannot fit at all.
 * @param bytes of the component's weights
 */
export function checkBuildMemory(component: string, bytes: number, gpu: NativeGpu | undefined, hostFree = availableMemory()): string {
  const host = bytes * HOST_COPIES;
  if (host > hostFree) {
    throw new UserError(
      "gpu.memory",
      `Building the ${component} needs about ${formatBytes(host)} of memory, of which ${formatBytes(hostFree)} are free. Close other programs, or build on a machine with more.`,
    );
  }
  if (!gpu) return `about ${formatBytes(host)} of memory`;
  const device = bytes * GPU_COPIES + GPU_SCRATCH;
  if (device > gpu.totalBytes) {
    throw new UserError(
      "gpu.memory",
      `Building the ${component} needs about ${formatBytes(device)} on the GPU; ${gpu.name} has ${formatBytes(gpu.totalBytes)}. Use a smaller precision (--precision fp16) or another GPU.`,
    );
  }
  return `about ${formatBytes(host)} of memory, ${formatBytes(device)} on the GPU`;
}

/** Bytes that can still be had, files that are only cached included where the system tells. */
export function availableMemory(): number {
  const { availableMemory: available } = process as { readonly availableMemory?: () => number };
  return available?.call(process) ?? freemem();
}
