import { performance } from "node:perf_hooks";
import { throwIfCancelled, UserError } from "../../formats/errors.ts";
import { elementCount } from "../../formats/tensor.ts";
import type { StackEntry } from "../../lora/delta.ts";
import { matrixSize, type StackJob, type WeightArithmetic } from "../../lora/merge.ts";
import { planStack, type PlannedMerge } from "../../lora/stack.ts";
import type { Component } from "../../models/architecture.ts";
import type { EngineMemory } from "../engine-memory.ts";
import type { Engine, Inputs, Outputs, StackReport } from "../engine.ts";
import { Mutex } from "../mutex.ts";
import type { Network } from "./network.ts";

/** The networks of a bundle on ONNX Runtime's CPU provider, and the weights that they are fed. */
export class OnnxRuntimeEngine implements Engine {
  readonly backend = "onnxruntime";
  readonly #networks: ReadonlyMap<Component, Network>;
  /** Which network a weight belongs to. */
  readonly #owners: ReadonlyMap<string, Network>;
  readonly #arithmetic: WeightArithmetic;
  /** The merged values of the weights that do not have the base's now. */
  #merged = new Map<string, Float32Array>();
  /** A stack is never changed while a network runs. */
  readonly #mutex = new Mutex();
  #unloaded = false;

  constructor(networks: readonly Network[], arithmetic: WeightArithmetic) {
    this.#networks = new Map(networks.map((network) => [network.component, network]));
    this.#owners = new Map(networks.flatMap((network) => [...network.base.keys()].map((name) => [name, network] as const)));
    this.#arithmetic = arithmetic;
  }

  get components(): readonly Component[] {
    return [...this.#networks.keys()];
  }

  setStack(stack: readonly StackEntry[], signal?: AbortSignal): Promise<StackReport> {
    return this.#mutex.run(() => this.#applyStack(stack, signal));
  }

  async #applyStack(stack: readonly StackEntry[], signal: AbortSignal | undefined): Promise<StackReport> {
    this.#requireLoaded();
    throwIfCancelled(signal);
    const started = performance.now();
    const { merge, restore } = planStack(this.#merged.keys(), stack);
    const reachable = merge.filter(({ name }) => this.#owners.has(name));
    const jobs = reachable.map((planned) => this.#mergeJob(planned));
    // Into new arrays: if this fails or is cancelled, the engine keeps the stack it has.
    await this.#arithmetic.merge(jobs, signal);
    const merged = performance.now();
    for (const name of restore) this.#owners.get(name)!.restoreWeight(name);
    this.#merged = new Map(reachable.map(({ name }, index) => [name, jobs[index]!.out]));
    for (const [name, values] of this.#merged) this.#owners.get(name)!.setWeight(name, values);
    return {
      changed: reachable.length + restore.length,
      restored: restore.length,
      timings: { read: 0, merge: merged - started, refit: performance.now() - merged },
      warnings: unreachableWarnings(merge.length - reachable.length),
    };
  }

  #mergeJob({ name, shape, terms }: PlannedMerge): StackJob {
    const base = this.#owners.get(name)!.base.get(name)!;
    if (elementCount(shape) !== base.values.length) {
      throw new UserError(
        "delta.invalid",
        `The delta changes ${name} as [${shape.join(", ")}]; the engine has it as [${base.shape.join(", ")}]. Make the delta again for this engine.`,
      );
    }
    return { base: base.values, ...matrixSize(base.shape), shape: base.shape, terms, out: new Float32Array(base.values.length) };
  }

  run(component: Component, inputs: Inputs): Promise<Outputs> {
    return this.#mutex.run(() => {
      this.#requireLoaded();
      const network = this.#networks.get(component);
      if (!network)
        throw new UserError("bundle.invalid", `The engine has no ${component}. Export the checkpoint again with that component.`);
      return network.run(inputs);
    });
  }

  memory(): EngineMemory {
    let base = 0;
    for (const network of this.#networks.values()) for (const { values } of network.base.values()) base += values.byteLength;
    let merged = 0;
    for (const values of this.#merged.values()) merged += values.byteLength;
    return { base, merged };
  }

  unload(): Promise<void> {
    return this.#mutex.run(async () => {
      if (this.#unloaded) return;
      this.#unloaded = true;
      this.#merged.clear();
      for (const network of this.#networks.values()) await network.release();
    });
  }

  #requireLoaded(): void {
    if (this.#unloaded) throw new UserError("engine.unusable", "The engine has been unloaded. Load it again.");
  }
}

function unreachableWarnings(count: number): string[] {
  return count === 0 ? [] : [`${count} weights of the stack belong to components that are not loaded.`];
}
