import { isNumericDtype } from "../formats/numbers.ts";
import type { SafetensorsFile, TensorEntry } from "../formats/safetensors.ts";
import type { Weight } from "./checkpoint.ts";
import type { Prediction } from "./configuration.ts";
import {
  asksWeightsForPrediction,
  declaredPrediction,
  declaredZeroTerminalSnr,
  SD2_PREDICTION_WEIGHT,
  sd2Prediction,
} from "./prediction.ts";
import { recognise, recognisePart } from "./recognition.ts";
import { refusal, unknownKeys } from "./refusal.ts";
import { reasonNotWeight, usualName } from "./single-file-names.ts";
import { TensorShapes } from "./tensor-shapes.ts";
import { renameUNet } from "./unet-rename.ts";
import { UNET_PREFIX } from "./unet-parts.ts";
import { unetStructureFromLdm } from "./unet-structure.ts";
import type { WeightCollection } from "./weight-collection.ts";

/**
 * Lists the weights of a single-file checkpoint, or of a UNet alone, under their usual names.
 * Throws "checkpoint.unsupported", saying what it is, for a file that holds something else.
 */
export async function collectSingleFile(file: SafetensorsFile, path: string): Promise<WeightCollection> {
  const known = recognise(file.tensors.keys(), file.metadata);
  if (known) throw refusal(path, known);
  const { weights, unused } = sort(file, path);
  const first = `${UNET_PREFIX}input_blocks.0.0.weight`;
  if (!weights.has(first)) {
    const part = recognisePart(file.tensors.keys());
    throw part ? refusal(path, part) : unknownKeys(path, file.tensors.keys());
  }
  const has = (name: string) => file.tensors.has(name);
  return {
    path,
    layout: "single-file",
    weights,
    unused,
    declared: {
      prediction: declaredPrediction(has, file.metadata) ?? (await predictionByWeights(file, weights)),
      zeroTerminalSnr: declaredZeroTerminalSnr(has, file.metadata),
    },
  };
}

function sort(file: SafetensorsFile, path: string) {
  const weights = new Map<string, Weight>();
  const unused: { name: string; reason: string }[] = [];
  const rename = unetRename(file, path);
  for (const entry of file.tensors.values()) {
    const reason = reasonNotWeight(entry.name);
    const name = rename(entry.name);
    if (reason !== undefined) unused.push({ name: entry.name, reason });
    else if (weights.has(name)) unused.push({ name: entry.name, reason: `a second "${name}"` });
    else weights.set(name, weightOf(entry, name, path));
  }
  return { weights, unused };
}

/** A weight's place under its usual name. */
export function weightOf({ dtype, shape, offset, length }: TensorEntry, name: string, file: string): Weight {
  return { name, dtype, shape, file, offset, length };
}

/** Files of a UNet alone have keys without a start, in either naming. */
function unetRename(file: SafetensorsFile, path: string): (name: string) => string {
  if (file.tensors.has("input_blocks.0.0.weight")) return (name) => UNET_PREFIX + name;
  if (file.tensors.has("conv_in.weight") && file.tensors.has("time_embedding.linear_1.weight")) {
    return renameUNet(new TensorShapes(path, file.tensors));
  }
  return usualName;
}

async function predictionByWeights(file: SafetensorsFile, weights: ReadonlyMap<string, Weight>): Promise<Prediction | undefined> {
  const weight = weights.get(SD2_PREDICTION_WEIGHT);
  if (!weight || !isNumericDtype(weight.dtype) || weight.shape.length !== 1) return undefined;
  const shapes = new TensorShapes(file.path, weights);
  if (!asksWeightsForPrediction(unetStructureFromLdm(shapes))) return undefined;
  const entry = [...file.tensors.values()].find(({ offset, length }) => offset === weight.offset && length === weight.length);
  return entry && sd2Prediction(await file.readFloat32(entry.name));
}
