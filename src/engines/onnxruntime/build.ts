import { stat } from "node:fs/promises";
import { join } from "node:path";
import { componentFileNames } from "../../formats/engine-profile.ts";
import type { BundleComponent, RefittableWeight } from "../../formats/engine-bundle.ts";
import { throwIfCancelled } from "../../formats/errors.ts";
import { isDtype } from "../../formats/dtype.ts";
import { writeWeightManifest } from "../../formats/weight-manifest.ts";
import type { Component } from "../../models/architecture.ts";
import type { Weight } from "../../models/checkpoint.ts";
import { emitComponent, ONNX_RUNTIME_TARGET, writeGraph, type EmittedGraph, type GraphTarget } from "../../models/graph/emit.ts";
import type { BuildRequest, BuiltBundle } from "../backend.ts";
import { hashWeights, nonFiniteWarnings } from "../weight-hashes.ts";
import { convertWeights, isStoredAs, linkWeights, type WeightFiles } from "../weight-files.ts";

/**
 * Makes the components' graphs and puts the checkpoint's weights beside them. Nothing is compiled: ONNX Runtime takes the graphs
 * as they are, computes in fp32 and reads the weights where they stand.
 */
export async function buildForOnnxRuntime(request: BuildRequest): Promise<BuiltBundle> {
  const { checkpoint, components, precision, signal } = request;
  const target: GraphTarget = { ...ONNX_RUNTIME_TARGET, weightDtype: precision ?? "checkpoint" };
  const graphs = components.map((component) => {
    const weights = checkpoint.components.get(component)!;
    return { component, graph: emitComponent(component, weights, checkpoint.configuration, target) };
  });
  const needed = new Map<string, Weight>();
  for (const { component, graph } of graphs) {
    const table = checkpoint.components.get(component)!;
    for (const name of graph.weights.keys()) needed.set(name, table.get(name)!);
  }
  const weightFiles = await placeWeights([...needed.values()], request);
  const hashes = await hashWeights(request.hasher, request.folder, weightFiles.places, needed, {
    signal,
    onProgress: (done, total) => request.onProgress("hashing weights", done / total),
  });
  const built: BundleComponent[] = [];
  for (const { component, graph } of graphs) {
    throwIfCancelled(signal);
    request.onProgress(`writing ${component}`, built.length / graphs.length);
    const files = componentFileNames(component, request.profileOf(component));
    await writeGraph(join(request.folder, files.onnx), graph, (name) => {
      const { file, dtype, offset, length } = weightFiles.places.get(name)!;
      return { location: file, dtype, offset, length };
    });
    const manifest = new Map([...graph.weights.keys()].map((name) => [name, hashes.get(name)!.entry]));
    await writeWeightManifest(join(request.folder, files.weights), manifest);
    const { size } = await stat(join(request.folder, files.onnx));
    built.push(describe(component, graph, weightFiles, size, request));
  }
  const { files: stored, places } = weightFiles;
  return { components: built, weightFiles: stored, places, warnings: [...unusedWarnings(graphs), ...nonFiniteWarnings(hashes)] };
}

async function placeWeights(weights: readonly Weight[], { precision, folder, signal, onProgress }: BuildRequest): Promise<WeightFiles> {
  if (precision === undefined || isStoredAs(weights, precision)) {
    return linkWeights(weights, folder, { signal, onProgress: (done, total) => onProgress("linking weights", done / total) });
  }
  return convertWeights(weights, precision, folder, {
    signal,
    onProgress: (done, total) => onProgress("converting weights", done / total),
  });
}

function describe(component: Component, graph: EmittedGraph, weights: WeightFiles, bytes: number, request: BuildRequest): BundleComponent {
  const profile = request.profileOf(component);
  const { onnx, weights: manifest } = componentFileNames(component, profile);
  const refittable = graph.refittable.map((name): RefittableWeight => {
    const { file, dtype, offset, length } = weights.places.get(name)!;
    if (!isDtype(dtype)) throw new Error(`"${name}" has the unknown dtype ${dtype}.`);
    return { name, shape: [...graph.weights.get(name)!.shape], dtype, file, offset, length };
  });
  return { component, onnx, weights: manifest, bytes, profile, refittable };
}

/** A weight that no graph uses may be a part of the model that is not understood: said, never passed over. */
function unusedWarnings(graphs: readonly { readonly component: Component; readonly graph: EmittedGraph }[]): string[] {
  return graphs
    .filter(({ graph }) => graph.unused.length > 0)
    .map(({ component, graph }) => {
      const shown = graph.unused.slice(0, 3).join(", ");
      return `${component}: ${graph.unused.length} tensors of the checkpoint are not used: ${shown}${graph.unused.length > 3 ? ", …" : ""}`;
    });
}
