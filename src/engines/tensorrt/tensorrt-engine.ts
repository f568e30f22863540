import { performance } from "node:perf_hooks";
import { throwIfCancelled, UserError } from "../../formats/errors.ts";
import type { StackEntry } from "../../lora/delta.ts";
import { planStack, type PlannedMerge } from "../../lora/stack.ts";
import type { Component } from "../../models/architecture.ts";
import type { EngineMemory } from "../engine-memory.ts";
import type { Engine, Inputs, Outputs, StackReport } from "../engine.ts";
import type { DeviceSampling, DeviceSamplingRequest } from "../latents.ts";
import { Mutex } from "../mutex.ts";
import type { TensorRtName } from "./library-search.ts";
import type { NativeGpu } from "./native.ts";
import { toNativeChanges } from "./stack-changes.ts";
import type { TensorRtNetwork } from "./tensorrt-network.ts";
import { TensorRtSampling } from "./tensorrt-sampling.ts";

type NativeChanges = Parameters<TensorRtNetwork["setChanges"]>[0];

/** The networks of a bundle as TensorRT engines, their weights changed by refits. */
export class TensorRtEngine implements Engine {
  readonly backend: TensorRtName;
  readonly #networks: ReadonlyMap<Component, TensorRtNetwork>;
  readonly #gpu: () => NativeGpu;
  /** Names of the weights that do not have the base's values now. */
  #changed: ReadonlySet<string> = new Set();
  /** A stack is never changed while a network runs. */
  readonly #mutex = new Mutex();
  #unloaded = false;

  constructor(backend: TensorRtName, networks: readonly TensorRtNetwork[], gpu: () => NativeGpu) {
    this.backend = backend;
    this.#networks = new Map(networks.map((network) => [network.component, network]));
    this.#gpu = gpu;
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
    const { merge, restore } = planStack(this.#changed, stack);
    const reachable = merge.filter(({ name }) => this.#owner(name) !== undefined);
    const total = { read: 0, merge: 0, refit: 0 };
    const affected = new Set([...reachable.map(({ name }) => name), ...restore].map((name) => this.#owner(name)!));
    const prepared = new Map<TensorRtNetwork, NativeChanges>();
    const started = performance.now();
    for (const network of affected) prepared.set(network, changesOf(network, reachable));
    total.merge += performance.now() - started;
    let isFirst = true;
    for (const [network, changes] of prepared) {
      // Once one network has the new stack, the others get it too: half a stack is none.
      const times = isFirst ? await this.#changeFirst(network, changes, signal) : await this.#changeNext(network, changes);
      isFirst = false;
      total.read += times.upload;
      total.merge += times.merge;
      total.refit += times.refit;
    }
    this.#changed = new Set(reachable.map(({ name }) => name));
    return {
      changed: reachable.length + restore.length,
      restored: restore.length,
      timings: total,
      warnings: unreachableWarnings(merge.length - reachable.length),
    };
  }

  #owner(weight: string): TensorRtNetwork | undefined {
    for (const network of this.#networks.values()) if (network.weights.has(weight)) return network;
    return undefined;
  }

  /** Where it fails or is cancelled before its refit has begun, every network has the old stack still. */
  async #changeFirst(network: TensorRtNetwork, changes: NativeChanges, signal: AbortSignal | undefined) {
    try {
      return await network.setChanges(changes, signal);
    } catch (error) {
      if (network.isIntact) throw error;
      throw await this.#backToBase(error);
    }
  }

  async #changeNext(network: TensorRtNetwork, changes: NativeChanges) {
    try {
      return await network.setChanges(changes);
    } catch (error) {
      throw await this.#backToBase(error);
    }
  }

  /** A refit that fails midway costs the stack: its network is loaded again and all of them get their base's weights. */
  async #backToBase(cause: unknown): Promise<UserError> {
    for (const network of this.#networks.values()) {
      if (network.isIntact) await network.setChanges([]);
      else await network.reload();
    }
    this.#changed = new Set();
    const reason = cause instanceof Error ? cause.message : String(cause);
    return new UserError("engine.failed", `${reason} The engine has its base's weights again, without any LoRA.`, { cause });
  }

  run(component: Component, inputs: Inputs): Promise<Outputs> {
    return this.#exclusive(() => this.#network(component).run(inputs));
  }

  async startSampling(request: DeviceSamplingRequest): Promise<DeviceSampling> {
    const native = await this.#exclusive(() => this.#network("unet").startSampling(request));
    return new TensorRtSampling(native, {
      run: (work) => this.#exclusive(work),
      decoder: () => this.#network("vae_decoder").native,
    });
  }

  #exclusive<Result>(work: () => Promise<Result>): Promise<Result> {
    return this.#mutex.run(async () => {
      this.#requireLoaded();
      return work();
    });
  }

  #network(component: Component): TensorRtNetwork {
    const network = this.#networks.get(component);
    if (network) return network;
    throw new UserError("bundle.invalid", `The engine has no ${component}. Export the checkpoint again with that component.`);
  }

  notices(): readonly string[] {
    return [...this.#networks.values()].flatMap((network) => {
      const { graphProblem } = network.memory();
      if (graphProblem === "") return [];
      return [`Runs of the ${network.component} are not launched as CUDA graphs, which costs time: ${graphProblem}`];
    });
  }

  memory(): EngineMemory {
    const sum = { plan: 0, contexts: 0, base: 0, host: 0, merged: 0 };
    for (const network of this.#networks.values()) {
      const memory = network.memory();
      sum.plan += memory.plan;
      sum.contexts += memory.scratch + memory.buffers;
      sum.base += memory.baseOnGpu;
      sum.merged += memory.merged;
      sum.host += memory.baseOnHost + memory.pinned;
    }
    const { freeBytes, totalBytes } = this.#gpu();
    const gpu = { plan: sum.plan, contexts: sum.contexts, base: sum.base, free: freeBytes, total: totalBytes };
    return { base: sum.base + sum.host, merged: sum.merged, gpu };
  }

  unload(): Promise<void> {
    return this.#mutex.run(async () => {
      if (this.#unloaded) return;
      this.#unloaded = true;
      for (const network of this.#networks.values()) await network.close();
    });
  }

  #requireLoaded(): void {
    if (this.#unloaded) throw new UserError("engine.unusable", "The engine has been unloaded. Load it again.");
  }
}

function changesOf(network: TensorRtNetwork, planned: readonly PlannedMerge[]): NativeChanges {
  return toNativeChanges(
    network.weights,
    planned.filter(({ name }) => network.weights.has(name)),
  );
}

function unreachableWarnings(count: number): string[] {
  return count === 0 ? [] : [`${count} weights of the stack belong to components that are not loaded or cannot be changed.`];
}
