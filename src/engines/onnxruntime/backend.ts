import { join } from "node:path";
import type { Backend, LoadRequest } from "../backend.ts";
import { UserError, throwIfCancelled } from "../../formats/errors.ts";
import { readBaseWeights } from "../base-weights.ts";
import { buildForOnnxRuntime } from "./build.ts";
import { Network } from "./network.ts";
import { OnnxRuntimeEngine } from "./onnxruntime-engine.ts";
import { loadOnnxRuntime } from "./library.ts";

/** The embedded default: ONNX Runtime's CPU provider, on every machine. */
export const onnxRuntimeBackend: Backend = {
  name: "onnxruntime",
  version: () => loadOnnxRuntime().version,
  build: buildForOnnxRuntime,
  load,
};

async function load(request: LoadRequest): Promise<OnnxRuntimeEngine> {
  const { folder, bundle, signal } = request;
  const networks: Network[] = [];
  try {
    for (const component of request.components) {
      throwIfCancelled(signal);
      request.onProgress?.(component, networks.length / request.components.length);
      const described = bundle.components.find((each) => each.component === component);
      if (!described?.onnx) {
        throw new UserError("bundle.invalid", `${folder} has no ${component}. Export the checkpoint again with that component.`);
      }
      const base = await readBaseWeights(folder, described.refittable, signal);
      networks.push(await Network.create(component, join(folder, described.onnx), base));
    }
  } catch (error) {
    for (const network of networks) await network.release();
    throw error;
  }
  return new OnnxRuntimeEngine(networks, request.arithmetic);
}
