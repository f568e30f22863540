import type { EngineBundle } from "../../formats/engine-bundle.ts";
import { throwIfCancelled, UserError } from "../../formats/errors.ts";
import type { Backend, LoadRequest } from "../backend.ts";
import { buildForTensorRt } from "./build.ts";
import { capabilityText, findGpu, requireGpu, RTX_CAPABILITIES } from "./gpu.ts";
import { findTensorRt, requireTensorRt, type FoundLibrary, type TensorRtName } from "./library-search.ts";
import { loadNetwork } from "./load-network.ts";
import type { NativeGpu } from "./native.ts";
import { selfTestBundle } from "./self-test.ts";
import { TensorRtEngine } from "./tensorrt-engine.ts";
import { TensorRtNetwork } from "./tensorrt-network.ts";

type Library = NonNullable<FoundLibrary["library"]>;

/** TensorRT 10 or 11, whichever is found; engines run on the kind of GPU that they were built on. */
export const tensorRtBackend: Backend = makeBackend("tensorrt");
/** TensorRT-RTX; engines are compiled for the GPU when they are first loaded. */
export const tensorRtRtxBackend: Backend = makeBackend("tensorrt-rtx");

function makeBackend(name: TensorRtName): Backend {
  return {
    name,
    version: () => requireTensorRt(name).information.version,
    build: (request) => buildForTensorRt(name, request),
    selfTest: (request) => selfTestBundle(name, request),
    requireRunnable: (folder, bundle) => void requireMatch(name, folder, bundle),
    load: (request) => load(name, request),
  };
}

/** Whether engines of this backend can be built and run here: a GPU that it runs on, its add-on and its library. */
export function isUsableHere(name: TensorRtName): boolean {
  // First, because it costs least: without a GPU no library is searched for.
  const gpu = findGpu();
  return typeof gpu !== "string" && runsOn(name, gpu) && findTensorRt(name).library !== undefined;
}

function runsOn(name: TensorRtName, { computeCapability }: NativeGpu): boolean {
  return name === "tensorrt" || RTX_CAPABILITIES.includes(computeCapability);
}

async function load(name: TensorRtName, request: LoadRequest): Promise<TensorRtEngine> {
  const library = requireMatch(name, request.folder, request.bundle);
  const networks: TensorRtNetwork[] = [];
  try {
    for (const component of request.components) {
      throwIfCancelled(request.signal);
      request.onProgress?.(component, networks.length / request.components.length);
      const described = request.bundle.components.find((each) => each.component === component);
      if (!described?.engine) {
        throw new UserError("bundle.invalid", `${request.folder} has no ${component}. Export the checkpoint again with that component.`);
      }
      const native = await loadNetwork(library, described, request);
      // Loading again is no part of the job that loads now, so that its cancellation is none of it.
      const reload = () => loadNetwork(library, described, { ...request, signal: undefined });
      networks.push(new TensorRtNetwork(component, described.refittable, native, reload));
    }
  } catch (error) {
    for (const network of networks) await network.close();
    throw error;
  }
  return new TensorRtEngine(name, networks, () => library.addon.gpu());
}

/**
 * The library that runs a bundle. A plan runs with the version and on the kind of GPU that it was built with; TensorRT itself only
 * says that it cannot be read.
 */
function requireMatch(name: TensorRtName, folder: string, bundle: EngineBundle): Library {
  // First, because it costs least: without a GPU no library is searched for.
  const gpu = requireGpu();
  if (!runsOn(name, gpu)) {
    const capability = capabilityText(gpu.computeCapability);
    throw new UserError(
      "gpu.unavailable",
      `${folder} cannot run here: TensorRT-RTX does not run on ${gpu.name} (compute capability ${capability}). Export the checkpoint again with --backend tensorrt.`,
    );
  }
  const library = requireTensorRt(name);
  const { information } = library;
  const advice = "Export the checkpoint again on this machine.";
  const mismatch = (what: string) => new UserError("bundle.mismatch", `${folder} ${what}. ${advice}`, { path: folder });
  if (bundle.backend.version !== information.version) {
    const { flavour, version, file } = information;
    throw mismatch(`was built with ${flavour} ${bundle.backend.version}; here is ${version} (${file})`);
  }
  const here = capabilityText(gpu.computeCapability);
  if (bundle.computeCapability !== undefined && bundle.computeCapability !== here) {
    throw mismatch(`was built for compute capability ${bundle.computeCapability}; ${gpu.name} has ${here}`);
  }
  return library;
}
