import { UserError } from "../../formats/errors.ts";
import { loadTensorRtAddon, toUserError, type Flavour, type NativeGpu } from "./native.ts";

const FLAVOURS: readonly Flavour[] = ["trt10", "trt11", "rtx"];

/** Compute capabilities that TensorRT-RTX builds for and runs on, 89 for 8.9; data-centre GPUs (9.0, 10.0) are not among them. */
export const RTX_CAPABILITIES: readonly number[] = [75, 80, 86, 89, 120, 121];

/** The GPU, as any of the add-ons sees it through NVIDIA's driver; else why there is none, as a sentence. */
export function findGpu(): NativeGpu | string {
  for (const flavour of FLAVOURS) {
    const { addon } = loadTensorRtAddon(flavour);
    if (!addon) continue;
    try {
      return addon.gpu();
    } catch (error) {
      return toUserError(error).message;
    }
  }
  return "This build has no part for GPUs: the add-on was compiled without TensorRT's headers.";
}

/** The GPU. Throws "gpu.unavailable" where there is none. */
export function requireGpu(): NativeGpu {
  const gpu = findGpu();
  if (typeof gpu === "string") throw new UserError("gpu.unavailable", gpu);
  return gpu;
}

/** "9.0" for 90. */
export function capabilityText(capability: number): string {
  return `${Math.floor(capability / 10)}.${capability % 10}`;
}
