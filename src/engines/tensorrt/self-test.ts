import { formatBytes } from "../../formats/atomic-file.ts";
import type { BundleComponent } from "../../formats/engine-bundle.ts";
import { throwIfCancelled, UserError } from "../../formats/errors.ts";
import type { SelfTest } from "../../formats/self-test.ts";
import { matrixSize } from "../../lora/merge.ts";
import type { Component } from "../../models/architecture.ts";
import type { SelfTestRequest } from "../backend.ts";
import { Reference } from "../onnxruntime/reference.ts";
import { testNetwork, type TestedNetwork } from "../self-test.ts";
import { selfTestInputs } from "../self-test-inputs.ts";
import { availableMemory } from "./build-memory.ts";
import { findGpu } from "./gpu.ts";
import { inputRanges } from "./input-shapes.ts";
import { requireTensorRt, type TensorRtName } from "./library-search.ts";
import { loadNetwork } from "./load-network.ts";
import { settle, type NativeChange, type NativeNetwork } from "./native.ts";
import { packChanges } from "./packed-changes.ts";

/** How many of a component's weights are changed and set back. */
const CHANGED_WEIGHTS = 16;
/** Of the rank-1 changes: about the size of a trained linear layer's weights. */
const CHANGE = 0.03;
/** Bytes that ONNX Runtime's intermediate values take for each pixel of the picture: the VAE works in full resolution, others in an eighth. */
const VALUES_PER_PIXEL = { vae: 5 * 1024, other: 1024 };

/**
 * Runs each component of a new bundle at the smallest shapes of its profile, one after the other, and compares with ONNX Runtime. A
 * component that cannot be run here (no GPU, no memory for the comparison) is listed with the reason; one that is wrong throws.
 */
export async function selfTestBundle(name: TensorRtName, request: SelfTestRequest): Promise<SelfTest[]> {
  const { built, signal, onProgress } = request;
  const obstacle = findObstacle(request);
  const results: SelfTest[] = [];
  for (const described of built.components) {
    throwIfCancelled(signal);
    const component = described.component as Component;
    onProgress(`testing ${component}`, 0);
    results.push(obstacle === undefined ? await testComponent(name, described, request) : notRun(component, obstacle));
    onProgress(`testing ${component}`, 1);
  }
  return results;
}

/** Why nothing of the bundle can be run here; plans for other GPUs are not tried on this one. */
function findObstacle({ built }: SelfTestRequest): string | undefined {
  const gpu = findGpu();
  if (typeof gpu === "string") return "no GPU";
  return built.computeCapability === undefined ? `built for other GPUs than this machine's ${gpu.name}` : undefined;
}

function notRun(component: Component, reason: string): SelfTest {
  return { component, outcome: "not run", reason };
}

async function testComponent(name: TensorRtName, described: BundleComponent, request: SelfTestRequest): Promise<SelfTest> {
  const { checkpoint, built, folder, signal } = request;
  const component = described.component as Component;
  const reference = new Reference(component, checkpoint, { folder, places: built.places });
  const needed = reference.weightBytes + valueBytes(described);
  const free = availableMemory();
  if (needed > free) {
    return notRun(
      component,
      `ONNX Runtime needs about ${formatBytes(needed)} of memory for the comparison, of which ${formatBytes(free)} are free`,
    );
  }
  const ranges = inputRanges(component, reference.graph, described.profile);
  const shapes = Object.fromEntries(Object.entries(ranges).map(([input, { min }]) => [input, min]));
  const inputs = selfTestInputs(reference.graph.inputs, shapes, vocabularyOf(reference));
  try {
    const expected = await reference.run(inputs, signal);
    throwIfCancelled(signal);
    const network = await loadNetwork(requireTensorRt(name), described, { folder, signal });
    try {
      return await testNetwork(component, tested(network, described), inputs, expected);
    } finally {
      await network.close();
    }
  } catch (error) {
    // Neither says anything against the engine: the GPU is shared and may be full, and ONNX Runtime may not be installed.
    const isOther = error instanceof UserError && (error.code === "gpu.memory" || error.code === "backend.unavailable");
    if (!isOther) throw error;
    return notRun(component, error.message);
  }
}

function tested(network: NativeNetwork, { refittable }: BundleComponent): TestedNetwork {
  const restore = () => settle(network.setChanges(packChanges([])));
  const run: TestedNetwork["run"] = (inputs) => settle(network.run(inputs));
  if (refittable.length === 0) return { run, restore };
  return { run, restore, change: () => settle(network.setChanges(packChanges(someChanges(refittable)))) };
}

/** Rank-1 changes of weights from all over the network. */
function someChanges(refittable: BundleComponent["refittable"]): NativeChange[] {
  const stride = Math.ceil(refittable.length / CHANGED_WEIGHTS);
  return refittable
    .filter((_, index) => index % stride === 0)
    .map(({ name, shape }) => {
      const { rows, columns } = matrixSize(shape);
      const up = Float32Array.from({ length: rows }, (_, row) => CHANGE * Math.sin(row + 1));
      const down = Float32Array.from({ length: columns }, (_, column) => Math.cos(column));
      return { name, terms: [{ up: { data: up, dtype: "F32" }, down: { data: down, dtype: "F32" }, rank: 1, scale: 1 }] };
    });
}

function valueBytes({ component, profile: { batch, height, width } }: BundleComponent): number {
  if (!height || !width) return 0;
  return batch.min * height.min * width.min * (component.startsWith("vae") ? VALUES_PER_PIXEL.vae : VALUES_PER_PIXEL.other);
}

/** Of a text encoder; no other network asks. */
function vocabularyOf({ graph }: Reference): number {
  for (const { name, shape } of graph.weights.values()) if (name.endsWith("token_embedding.weight")) return shape[0]!;
  return 0;
}
