import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import type { BundleComponent } from "../../formats/engine-bundle.ts";
import { capabilityText } from "./gpu.ts";
import type { FoundLibrary } from "./library-search.ts";
import type { NativeGpu } from "./native.ts";

/*
 * What the libraries have found out about a GPU, kept between processes. One file for each kind of GPU and version: what is known of one means
 * nothing to another.
 */

type Library = NonNullable<FoundLibrary["library"]>;

const FOLDER = join(homedir(), ".tensorrt-redux", "timing");

/** TensorRT's measurements of kernels, shared by all builds. */
export async function timingCacheFile(folder: string | undefined, library: Library, gpu: NativeGpu): Promise<string> {
  return join(await made(folder ?? FOLDER), `${nameOf(library, gpu)}.timing`);
}

/** What TensorRT-RTX has compiled for a plan; undefined for TensorRT, which compiles when it builds. */
export async function jitCacheFile(library: Library, gpu: NativeGpu, plan: BundleComponent): Promise<string | undefined> {
  if (library.information.flavour !== "TensorRT-RTX") return undefined;
  const { component, engine, bytes, profile } = plan;
  const key = createHash("sha256").update(JSON.stringify({ component, engine, bytes, profile })).digest("hex").slice(0, 16);
  return join(await made(FOLDER), `${nameOf(library, gpu)}-${component}-${key}.jit`);
}

function nameOf({ information }: Library, gpu: NativeGpu): string {
  const name = [gpu.name, capabilityText(gpu.computeCapability), information.flavour, information.version].join("-");
  return name.replace(/[^A-Za-z0-9.-]+/g, "-");
}

async function made(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  return folder;
}
