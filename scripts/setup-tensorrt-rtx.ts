/*
 * TensorRT-RTX from PyPI under .test/rtx: its parser and its builder work on machines without a GPU, so that every graph is built by a real
 * TensorRT in the tests. TENSORRT_RTX_LIBRARIES may name a folder that holds the libraries already.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DEFAULT_PYTHON } from "../src/engines/tensorrt/pip.ts";
import { fetchRuntime, runtimePackage } from "../src/engines/tensorrt/runtime.ts";

const folder = fileURLToPath(new URL("../.test/rtx", import.meta.url));

/** The libraries' folder, or why there are none. */
export async function setupTensorRtRtx(): Promise<{ readonly folder: string } | { readonly reason: string }> {
  const named = process.env["TENSORRT_RTX_LIBRARIES"];
  if (named) return existsSync(named) ? { folder: named } : { reason: `TENSORRT_RTX_LIBRARIES names ${named}, which does not exist` };
  if (process.platform !== "linux" || process.arch !== "x64") return { reason: "the package is for Linux on x86-64" };
  const libraries = join(folder, "tensorrt_rtx_libs");
  if (existsSync(libraries)) return { folder: libraries };

  const requirement = runtimePackage();
  console.log(`Fetching ${requirement} under .test/ (once)…`);
  try {
    await fetchRuntime(requirement, { python: DEFAULT_PYTHON, folder });
    return { folder: libraries };
  } catch (error) {
    return { reason: error instanceof Error ? error.message : String(error) };
  }
}
