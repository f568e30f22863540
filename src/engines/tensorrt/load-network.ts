import { join } from "node:path";
import { formatBytes } from "../../formats/atomic-file.ts";
import { UserError } from "../../formats/errors.ts";
import type { BundleComponent } from "../../formats/engine-bundle.ts";
import type { LoadRequest } from "../backend.ts";
import { jitCacheFile } from "./kept-files.ts";
import type { FoundLibrary } from "./library-search.ts";
import { settle, type BasePlacement, type NativeGpu, type NativeNetwork } from "./native.ts";
import { nativeWeights } from "./stack-changes.ts";

/** Loads one component's plan from a bundle's folder and does its first refit. */
export async function loadNetwork(
  library: NonNullable<FoundLibrary["library"]>,
  described: BundleComponent,
  { folder, basePlacement = "auto", signal }: Pick<LoadRequest, "folder" | "basePlacement" | "signal">,
): Promise<NativeNetwork> {
  const weights = nativeWeights(folder, described.refittable);
  const { addon } = library;
  const gpu = addon.gpu();
  checkRoom(gpu, described);
  const placement = choosePlacement(gpu, described, basePlacement);
  const jitCache = await jitCacheFile(library, gpu, described);
  const files = { library: library.folder, plan: join(folder, described.engine!), ...(jitCache !== undefined && { jitCache }) };
  return settle(addon.load({ ...files, weights, basePlacement: placement }), signal);
}

/** The plan's weights alone have to fit; TensorRT would say so too, but not what to do. */
function checkRoom({ name, freeBytes, totalBytes }: NativeGpu, { component, bytes }: BundleComponent): void {
  if (bytes <= freeBytes) return;
  throw new UserError(
    "gpu.memory",
    `Loading the ${component} needs more than ${formatBytes(bytes)} on the GPU; ${name} has ${formatBytes(freeBytes)} of ${formatBytes(totalBytes)} free. Unload another engine, or end other programs that use it.`,
  );
}

/** Beside the plan, a change of all weights at once needs room for them, so the base stays on the GPU where twice its size is free. */
function choosePlacement({ freeBytes }: NativeGpu, { bytes, refittable }: BundleComponent, wanted: "auto" | BasePlacement): BasePlacement {
  if (wanted !== "auto") return wanted;
  const base = refittable.reduce((sum, { length }) => sum + length, 0);
  return freeBytes > bytes * 1.3 + 2 * base ? "gpu" : "host";
}
