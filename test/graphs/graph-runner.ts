import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import * as onnxruntime from "onnxruntime-node";
import { ONNX_DATA_TYPE, type OnnxNode, type OnnxValue } from "../../src/formats/onnx.ts";
import { SafetensorsFile } from "../../src/formats/safetensors.ts";
import type { Tensor } from "../../src/formats/tensor.ts";
import type { Weight, WeightTable } from "../../src/models/checkpoint.ts";
import { writeGraph, type EmittedGraph } from "../../src/models/graph/emit.ts";

/** A safetensors file whose weights graphs are emitted over. */
export interface WeightFile {
  readonly file: SafetensorsFile;
  readonly table: WeightTable;
}

export type Inputs = Readonly<Record<string, Tensor<Float32Array> | Tensor<Int32Array>>>;

export async function openWeights(path: string): Promise<WeightFile> {
  const file = await SafetensorsFile.open(path);
  const table = new Map([...file.tensors].map(([name, entry]): [string, Weight] => [name, { ...entry, file: path }]));
  return { file, table };
}

/** Runs a graph on ONNX Runtime's CPU provider over the file's weights and returns every output as float32. */
export async function runGraph(emitted: EmittedGraph, weights: WeightFile, inputs: Inputs): Promise<Record<string, Float32Array>> {
  const graph = withFloat32Ends(emitted);
  const folder = await mkdtemp(join(tmpdir(), "graph-"));
  try {
    const location = basename(weights.file.path);
    await copyFile(weights.file.path, join(folder, location));
    const model = join(folder, "model.onnx");
    await writeGraph(model, graph, (name) => ({ ...weights.file.entry(name), location }));
    const session = await onnxruntime.InferenceSession.create(model, { intraOpNumThreads: 2, logSeverityLevel: 3 });
    const results = await session.run({ ...feeds(graph, inputs), ...(await fedWeights(graph, weights)) });
    await session.release();
    return Object.fromEntries(
      Object.entries(results).map(([name, tensor]) => [name.replace(/_float32$/, ""), tensor.data as Float32Array]),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * The same graph with float32 inputs and outputs, each named with "_float32" behind: ONNX Runtime's Node binding
 * (1.30) takes no float16.
 */
function withFloat32Ends(graph: EmittedGraph): EmittedGraph {
  const halves = (values: readonly OnnxValue[]) => values.map((value) => ({ ...value, half: value.dtype === "F16" }));
  const outer = (value: OnnxValue & { half: boolean }): OnnxValue =>
    value.half ? { ...value, name: `${value.name}_float32`, dtype: "F32" } : value;
  const cast = (from: string, to: string, dtype: "F16" | "F32"): OnnxNode => ({
    name: `cast_to_${to}`,
    operator: "Cast",
    domain: "",
    inputs: [from],
    outputs: [to],
    attributes: { to: ONNX_DATA_TYPE[dtype] },
  });
  const inputs = halves(graph.inputs);
  const outputs = halves(graph.outputs);
  return {
    ...graph,
    inputs: inputs.map(outer),
    outputs: outputs.map(outer),
    nodes: [
      ...inputs.filter((value) => value.half).map(({ name }) => cast(`${name}_float32`, name, "F16")),
      ...graph.nodes,
      ...outputs.filter((value) => value.half).map(({ name }) => cast(name, `${name}_float32`, "F32")),
    ],
  };
}

function feeds(graph: EmittedGraph, inputs: Inputs): Record<string, onnxruntime.Tensor> {
  return Object.fromEntries(
    graph.inputs.map(({ name }) => {
      const { data, dims } = inputs[name.replace(/_float32$/, "")]!;
      const tensor =
        data instanceof Int32Array ? new onnxruntime.Tensor("int32", data, dims) : new onnxruntime.Tensor("float32", data, dims);
      return [name, tensor];
    }),
  );
}

async function fedWeights(graph: EmittedGraph, weights: WeightFile): Promise<Record<string, onnxruntime.Tensor>> {
  const tensors: Record<string, onnxruntime.Tensor> = {};
  for (const { name, shape, fed } of graph.weights.values()) {
    if (fed) tensors[name] = new onnxruntime.Tensor("float32", await weights.file.readFloat32(name), shape);
  }
  return tensors;
}

export async function readFloats(file: SafetensorsFile, name: string): Promise<Tensor<Float32Array>> {
  return { dims: file.entry(name).shape, data: await file.readFloat32(name) };
}

export async function readIntegers(file: SafetensorsFile, name: string): Promise<Tensor<Int32Array>> {
  const bytes = await file.readBytes(name);
  return { dims: file.entry(name).shape, data: new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4) };
}

/** ‖actual − expected‖ / ‖expected‖; not a number, so within no bound, where the lengths differ. */
export function relativeError(actual: Float32Array | undefined, expected: Float32Array): number {
  if (actual?.length !== expected.length) return Number.NaN;
  let difference = 0;
  let norm = 0;
  for (const [i, value] of expected.entries()) {
    difference += (actual[i]! - value) ** 2;
    norm += value ** 2;
  }
  return Math.sqrt(difference / norm);
}

/** Cosine of the angle between two vectors; not a number where their lengths differ. */
export function cosine(actual: Float32Array | undefined, expected: Float32Array): number {
  if (actual?.length !== expected.length) return Number.NaN;
  let [product, left, right] = [0, 0, 0];
  for (const [i, value] of expected.entries()) {
    product += actual[i]! * value;
    left += actual[i]! ** 2;
    right += value ** 2;
  }
  return product / Math.sqrt(left * right);
}
