import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { assertSpace, buildFolderAtomically } from "../../formats/atomic-file.ts";
import { UserError } from "../../formats/errors.ts";
import { findGpu } from "./gpu.ts";
import { loadTensorRtAddon, toUserError, type NativeTensorRt } from "./native.ts";
import { downloadWheel, requirePip, unpackWheel } from "./pip.ts";

/** The release whose headers the add-on is compiled against. */
export const RUNTIME_VERSION = "1.7.1.116";
/** Of the wheel, about; and of it with what it holds, which for a while stand beside one another. */
const WHEEL_BYTES = 90e6;
const NEEDED_BYTES = 350e6;
/** The driver's CUDA version from which on the package for CUDA 13 runs. */
const CUDA_13 = 13_000;
const POLL_MILLISECONDS = 300;

export interface RuntimeOptions {
  /** The Python whose pip downloads. */
  readonly python: string;
  /** Where it goes; the search looks there for `tensorrt_rtx_libs`. */
  readonly folder: string;
  readonly signal?: AbortSignal | undefined;
  /** @param fraction 0–1, as far as the download's size is known */
  readonly onProgress?: (stage: string, fraction: number) => void;
}

export interface InstalledRuntime {
  readonly folder: string;
  readonly package: string;
  readonly version: string;
  readonly bytes: number;
  /** True where it had been there before and was kept. */
  readonly cached: boolean;
}

/** The package for this machine's driver, "name==version". */
export function runtimePackage(gpu = findGpu()): string {
  const cuda = typeof gpu !== "string" && gpu.driver >= CUDA_13 ? 13 : 12;
  return `tensorrt-rtx-cu${cuda}-libs==${RUNTIME_VERSION}`;
}

/**
 * Downloads TensorRT-RTX with pip into `folder`: all of it appears there, or nothing. One of the right version that is there already is
 * kept. Throws "backend.unavailable" with what to do where there is no pip, no network, or where what came cannot be used.
 */
export async function installRuntime(options: RuntimeOptions): Promise<InstalledRuntime> {
  const { addon, reason } = loadTensorRtAddon("rtx");
  if (!addon) throw new UserError("backend.unavailable", `TensorRT-RTX would be of no use here. ${reason}.`);
  const requirement = runtimePackage();
  const known = await describeInstalled(options.folder, requirement);
  if (known && whyUnusable(addon, options.folder) === undefined) return { ...known, cached: true };
  await fetchRuntime(requirement, options);
  const obstacle = whyUnusable(addon, options.folder);
  if (obstacle !== undefined) {
    await rm(options.folder, { recursive: true, force: true });
    throw new UserError("backend.unavailable", `${requirement} was downloaded but cannot be used: ${obstacle}. It was removed again.`);
  }
  return { ...(await describeInstalled(options.folder, requirement))!, cached: false };
}

const LIBRARIES = "tensorrt_rtx_libs";

/** Downloads and unpacks without loading anything. Throws what `requirePip` and `downloadWheel` throw. */
export async function fetchRuntime(requirement: string, { python, folder, signal, onProgress }: RuntimeOptions): Promise<void> {
  await requirePip(python, signal);
  await assertSpace(folder, NEEDED_BYTES, "TensorRT-RTX");
  await buildFolderAtomically(
    folder,
    async (temporary) => {
      onProgress?.("downloading TensorRT-RTX", 0);
      const watch = setInterval(() => {
        void totalBytes(temporary).then((bytes) => onProgress?.("downloading TensorRT-RTX", Math.min(0.99, bytes / WHEEL_BYTES)));
      }, POLL_MILLISECONDS);
      try {
        await downloadWheel(python, requirement, temporary, signal);
      } finally {
        clearInterval(watch);
      }
      onProgress?.("unpacking TensorRT-RTX", 0);
      const wheel = (await readdir(temporary)).find((name) => name.endsWith(".whl"));
      if (wheel === undefined) throw new UserError("backend.unavailable", `pip has downloaded no wheel of ${requirement}.`);
      await unpackWheel(python, join(temporary, wheel), temporary, signal);
      await rm(join(temporary, wheel));
      if (!(await describeInstalled(temporary, requirement))) {
        throw new UserError("backend.unavailable", `${wheel} does not hold TensorRT-RTX ${RUNTIME_VERSION}. Try again later.`);
      }
      onProgress?.("unpacking TensorRT-RTX", 1);
    },
    { overwrite: true, signal },
  );
}

/** What a folder holds, if that is the package in this version: by the name of its wheel's own description. */
async function describeInstalled(folder: string, requirement: string): Promise<Omit<InstalledRuntime, "cached"> | undefined> {
  const [name, version] = requirement.split("==") as [string, string];
  const description = join(folder, `${name.replaceAll("-", "_")}-${version}.dist-info`);
  const parts = await Promise.all([description, join(folder, LIBRARIES)].map((path) => stat(path).catch(() => undefined)));
  if (!parts.every((part) => part?.isDirectory())) return undefined;
  return { folder, package: name, version, bytes: await totalBytes(folder) };
}

/** Loads the libraries in the folder; why they cannot be used, where that fails. */
function whyUnusable(addon: NativeTensorRt, folder: string): string | undefined {
  try {
    addon.information(join(folder, LIBRARIES));
    return undefined;
  } catch (error) {
    return toUserError(error).message;
  }
}

/** Of all files under a folder, which may change meanwhile. */
async function totalBytes(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const sizes = entries
    .filter((entry) => entry.isFile())
    .map((entry) =>
      stat(join(entry.parentPath, entry.name)).then(
        ({ size }) => size,
        () => 0,
      ),
    );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
