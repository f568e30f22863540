import type { RefittableWeight } from "../../formats/engine-bundle.ts";
import type { Component } from "../../models/architecture.ts";
import type { Inputs, Outputs } from "../engine.ts";
import {
  settle,
  type NativeChange,
  type NativeChangeTimes,
  type NativeMemory,
  type NativeNetwork,
  type NativeSampling,
  type NativeSamplingOptions,
} from "./native.ts";
import { packChanges } from "./packed-changes.ts";

/** One component's engine on the GPU. A refit that fails midway leaves it half changed: it is then loaded again. */
export class TensorRtNetwork {
  readonly component: Component;
  readonly weights: ReadonlyMap<string, RefittableWeight>;
  readonly #load: () => Promise<NativeNetwork>;
  #native: NativeNetwork;

  /** @param load loads the engine once more */
  constructor(component: Component, weights: readonly RefittableWeight[], native: NativeNetwork, load: () => Promise<NativeNetwork>) {
    this.component = component;
    this.weights = new Map(weights.map((weight) => [weight.name, weight]));
    this.#native = native;
    this.#load = load;
  }

  async run(inputs: Inputs): Promise<Outputs> {
    return settle(this.#native.run(inputs));
  }

  startSampling(options: NativeSamplingOptions): Promise<NativeSampling> {
    return settle(this.#native.startSampling(options));
  }

  /** As it is loaded now; `reload` puts another in its place. */
  get native(): NativeNetwork {
    return this.#native;
  }

  /** Weights that are not named get the base's values. Where this throws, `isIntact` tells whether the old ones are still in place. */
  async setChanges(changes: readonly NativeChange[], signal?: AbortSignal): Promise<NativeChangeTimes> {
    return settle(this.#native.setChanges(packChanges(changes)), signal);
  }

  get isIntact(): boolean {
    return this.#native.memory().usable;
  }

  /** Loads the engine again, with the base's weights. */
  async reload(): Promise<void> {
    await this.#native.close();
    this.#native = await this.#load();
  }

  memory(): NativeMemory {
    return this.#native.memory();
  }

  async close(): Promise<void> {
    await this.#native.close();
  }
}
