import { UserError } from "../../formats/errors.ts";
import type { Component } from "../architecture.ts";
import type { WeightTable } from "../checkpoint.ts";
import type { ModelConfiguration } from "../configuration.ts";
import type { EmittedGraph } from "./emitted.ts";
import type { GraphTarget } from "./target.ts";
import { emitClip } from "./clip.ts";
import { emitUNet } from "./unet.ts";
import { emitVaeDecoder, emitVaeEncoder } from "./vae.ts";

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
  const { unet, vae } = configuration;
  const textEncoder = configuration.textEncoders.find((encoder) => encoder.component === component);
  if (component === "unet" && unet) return emitUNet(weights, unet, target);
  if (textEncoder) return emitClip(weights, textEncoder, target);
  if (component === "vae_decoder" && vae) return emitVaeDecoder(weights, target);
  if (component === "vae_encoder" && vae) return emitVaeEncoder(weights, target);
  throw new UserError("checkpoint.unsupported", `The checkpoint's description has no ${component} that can be exported.`);
}
