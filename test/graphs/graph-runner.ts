import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import * as onnxruntime from "onnxruntime-node";
import { SafetensorsFile } from "../../src/formats/safetensors.ts";
import type { Weight, WeightTable } from "../../src/models/checkpoint.ts";
import { writeGraph, type EmittedGraph } from "../../src/models/graph/emit.ts";

export type Arrays = Record<string, onnxruntime.Tensor>;

/** A safetensors file whose weights graphs are emitted over. */
export interface WeightFile {
  readonly file: SafetensorsFile;
  readonly table: WeightTable;
}

export async function openWeights(path: string, prefix = ""): Promise<WeightFile> {
  const file = await SafetensorsFile.open(path);
  const table = new Map<string, Weight>();
  for (const entry of file.tensors.values()) {
    if (entry.name.startsWith(prefix)) table.set(entry.name, { ...entry, file: path });
  }
  return { file, table };
}

/** Runs a graph on ONNX Runtime's CPU provider, its weights taken from the file, and returns every output as float32. */
export async function runGraph(graph: EmittedGraph, weights: WeightFile, inputs: Arrays): Promise<Record<string, Float32Array>> {
  const folder = await mkdtemp(join(tmpdir(), "graph-"));
  try {
    const location = basename(weights.file.path);
    await copyFile(weights.file.path, join(folder, location));
    const model = join(folder, "model.onnx");
    await writeGraph(model, graph, (name) => ({ ...weights.file.entry(name), location }));
    const session = await onnxruntime.InferenceSession.create(model, { intraOpNumThreads: 2, logSeverityLevel: 3 });
    const feeds: Arrays = { ...inputs };
    for (const { name, shape, fed } of graph.weights.values()) {
      if (fed) feeds[name] = new onnxruntime.Tensor("float32", await weights.file.readFloat32(name), shape);
    }
    const results = await session.run(feeds);
    await session.release();
    return Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, tensor.data as Float32Array]));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** ‖actual − expected‖ / ‖expected‖; not a number, so no match for any bound, where the lengths differ. */
export function relativeError(actual: Float32Array, expected: Float32Array): number {
  if (actual.length !== expected.length) return Number.NaN;
  let difference = 0;
  let norm = 0;
  for (const [i, value] of expected.entries()) {
    difference += (actual[i]! - value) ** 2;
    norm += value ** 2;
  }
  return Math.sqrt(difference / norm);
}
