import { UserError } from "../../formats/errors.ts";
import type { Component } from "../architecture.ts";
import type { WeightTable } from "../checkpoint.ts";
import type { ModelConfiguration } from "../configuration.ts";
import type { EmittedGraph } from "./emitted.ts";
import type { GraphTarget } from "./target.ts";
import { emitUNet } from "./unet.ts";

export { serialize, writeGraph, type EmittedGraph, type GraphWeight, type ResolveWeight, type WeightPlace } from "./emitted.ts";
export { ONNX_RUNTIME_TARGET, tensorrtTarget, type FloatDtype, type GraphTarget } from "./target.ts";

/**
 * Writes one network of a checkpoint as an ONNX graph for a target. `weights` is the component's table.
 * Throws checkpoint.incomplete where a weight is missing and checkpoint.unsupported where there is no writer for it.
 */
export function emitComponent(
  component: Component,
  weights: WeightTable,
  configuration: ModelConfiguration,
  target: GraphTarget,
): EmittedGraph {
  if (component === "unet" && configuration.unet) return emitUNet(weights, configuration.unet, target);
  throw new UserError("checkpoint.unsupported", `The checkpoint's description has no ${component} that can be exported.`);
}
