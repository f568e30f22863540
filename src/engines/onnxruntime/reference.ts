import { rm } from "node:fs/promises";
import { join } from "node:path";
import { isDtype } from "../../formats/dtype.ts";
import type { RefittableWeight } from "../../formats/engine-bundle.ts";
import type { Component } from "../../models/architecture.ts";
import type { Checkpoint } from "../../models/checkpoint.ts";
import { emitComponent, ONNX_RUNTIME_TARGET, writeGraph, type EmittedGraph } from "../../models/graph/emit.ts";
import { readBaseWeights } from "../base-weights.ts";
import type { Inputs, Outputs } from "../engine.ts";
import type { WeightPlace } from "../weight-files.ts";
import { Network } from "./network.ts";

/** A bundle's folder and where in it the weights stand. */
export interface PlacedWeights {
  readonly folder: string;
  readonly places: ReadonlyMap<string, WeightPlace>;
}

const GRAPH_FILE = "reference.onnx";

/** A component as ONNX Runtime computes it in fp32, with a bundle's own weights: what other backends are compared with. */
export class Reference {
  readonly graph: EmittedGraph;
  readonly #component: Component;
  readonly #weights: PlacedWeights;

  constructor(component: Component, { components, configuration }: Checkpoint, weights: PlacedWeights) {
    const table = components.get(component)!;
    // The checkpoint's table as the bundle stores it.
    const stored = new Map(
      [...table].map(([name, weight]) => [name, { ...weight, dtype: weights.places.get(name)?.dtype ?? weight.dtype }]),
    );
    this.graph = emitComponent(component, stored, configuration, ONNX_RUNTIME_TARGET);
    this.#component = component;
    this.#weights = weights;
  }

  /** Bytes of the weights in fp32, which is how they stand in memory while it runs. */
  get weightBytes(): number {
    let count = 0;
    for (const { shape } of this.graph.weights.values()) count += shape.reduce((product, size) => product * size, 1);
    return 4 * count;
  }

  /** Loads the network, runs it once and frees it. */
  async run(inputs: Inputs, signal: AbortSignal | undefined): Promise<Outputs> {
    const { folder, places } = this.#weights;
    // External data has to be in the graph's own folder.
    const path = join(folder, GRAPH_FILE);
    try {
      await writeGraph(path, this.graph, (name) => {
        const { file, dtype, offset, length } = places.get(name)!;
        return { location: file, dtype, offset, length };
      });
      const base = await readBaseWeights(
        folder,
        this.graph.refittable.map((name) => this.#fedWeight(name)),
        signal,
      );
      const network = await Network.create(this.#component, path, base);
      try {
        return await network.run(inputs);
      } finally {
        await network.release();
      }
    } finally {
      await rm(path, { force: true });
    }
  }

  #fedWeight(name: string): RefittableWeight {
    const { file, dtype, offset, length } = this.#weights.places.get(name)!;
    if (!isDtype(dtype)) throw new Error(`"${name}" has the unknown dtype ${dtype}.`);
    return { name, shape: [...this.graph.weights.get(name)!.shape], dtype, file, offset, length };
  }
}
