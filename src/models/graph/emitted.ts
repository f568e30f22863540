import {
  encodeModel,
  writeModel,
  type ExternalData,
  type OnnxDtype,
  type OnnxModel,
  type OnnxNode,
  type OnnxTensor,
  type OnnxValue,
} from "../../formats/onnx.ts";
import type { GraphTarget } from "./target.ts";

/** A weight of the checkpoint that a graph uses. */
export interface GraphWeight {
  readonly name: string;
  readonly shape: readonly number[];
  /** The type the graph takes it in: of the initializer's bytes, or of the input that is fed. */
  readonly dtype: OnnxDtype;
  /** Whether a LoRA can reach it. */
  readonly refittable: boolean;
  /** Whether it is a graph input that the engine feeds at each run rather than an initializer. */
  readonly fed: boolean;
}

/** A network as ONNX nodes over the checkpoint's own weight names; where the weights' bytes stand is not yet decided. */
export interface EmittedGraph {
  readonly name: string;
  readonly target: GraphTarget;
  readonly nodes: readonly OnnxNode[];
  readonly constants: readonly OnnxTensor[];
  /** The network's inputs, without the weights that are fed. */
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  readonly weights: ReadonlyMap<string, GraphWeight>;
  /** Names of the weights that a LoRA can reach. */
  readonly refittable: readonly string[];
  /** Names in the component's table that the graph has no use for. */
  readonly unused: readonly string[];
}

/** Where the bytes of an initializer stand, and their type. */
export interface WeightPlace extends ExternalData {
  readonly dtype: string;
}

export type ResolveWeight = (weightName: string) => WeightPlace;

/** The bytes of the graph's ONNX file. `resolve` is asked for every weight that is an initializer. */
export function serialize(graph: EmittedGraph, resolve: ResolveWeight): Uint8Array {
  return encodeModel(toModel(graph, resolve));
}

/** Writes the graph's ONNX file; it appears under `path` whole or not at all. Locations are relative to its folder. */
export async function writeGraph(path: string, graph: EmittedGraph, resolve: ResolveWeight): Promise<void> {
  await writeModel(path, toModel(graph, resolve));
}

function toModel(graph: EmittedGraph, resolve: ResolveWeight): OnnxModel {
  const weights = [...graph.weights.values()];
  const stored = weights.filter((weight) => !weight.fed).map((weight) => initializer(weight, resolve(weight.name)));
  const fed = weights.filter((weight) => weight.fed);
  return {
    name: graph.name,
    nodes: graph.nodes,
    initializers: [...graph.constants, ...stored],
    inputs: [...graph.inputs, ...fed],
    outputs: graph.outputs,
    opsets: opsets(graph),
  };
}

/** Opset 21 is what TensorRT's parser was proven with; convolutions of bfloat16 are in the standard from 22 on. */
function opsets({ target, nodes }: EmittedGraph): Record<string, number> {
  const standard = { "": target.computeDtype === "BF16" ? 22 : 21 };
  return nodes.some((node) => node.domain !== "") ? { ...standard, "com.microsoft": 1 } : standard;
}

function initializer(weight: GraphWeight, place: WeightPlace): OnnxTensor {
  if (place.dtype !== weight.dtype) {
    throw new Error(`The graph takes "${weight.name}" as ${weight.dtype}, but its bytes are ${place.dtype}.`);
  }
  const { location, offset, length } = place;
  return { name: weight.name, dtype: weight.dtype, shape: weight.shape, data: { external: { location, offset, length } } };
}
