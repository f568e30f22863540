import { join } from "node:path";
import type { BundleComponent } from "../../formats/engine-bundle.ts";
import type { LoadRequest } from "../backend.ts";
import type { FoundLibrary } from "./library-search.ts";
import { settle, type BasePlacement, type NativeGpu, type NativeNetwork } from "./native.ts";
import { nativeWeights } from "./stack-changes.ts";

/** Loads one component's plan from a bundle's folder and does its first refit. */
export function loadNetwork(
  { addon, folder: library }: NonNullable<FoundLibrary["library"]>,
  described: BundleComponent,
  { folder, basePlacement = "auto", signal }: Pick<LoadRequest, "folder" | "basePlacement" | "signal">,
): Promise<NativeNetwork> {
  const weights = nativeWeights(folder, described.refittable);
  const placement = choosePlacement(addon.gpu(), described, basePlacement);
  return settle(addon.load({ library, plan: join(folder, described.engine!), weights, basePlacement: placement }), signal);
}

/** Beside the plan, a change of all weights at once needs room for them, so the base stays on the GPU where twice its size is free. */
function choosePlacement({ freeBytes }: NativeGpu, { bytes, refittable }: BundleComponent, wanted: "auto" | BasePlacement): BasePlacement {
  if (wanted !== "auto") return wanted;
  const base = refittable.reduce((sum, { length }) => sum + length, 0);
  return freeBytes > bytes * 1.3 + 2 * base ? "gpu" : "host";
}
