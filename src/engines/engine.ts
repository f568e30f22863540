import type { Tensor } from "../formats/tensor.ts";
import type { StackEntry } from "../lora/delta.ts";
import type { Component } from "../models/architecture.ts";
import type { EngineMemory } from "./engine-memory.ts";
import type { DeviceSampling, DeviceSamplingRequest } from "./latents.ts";

export type Inputs = Readonly<Record<string, Tensor<Float32Array> | Tensor<Int32Array>>>;
export type Outputs = Readonly<Record<string, Tensor<Float32Array>>>;

/** What a stack change did; times in milliseconds. */
export interface StackReport {
  /** Names of the weights whose values changed, those set back to the base included. */
  readonly changed: number;
  /** How many of them went back to the base's values. */
  readonly restored: number;
  readonly timings: { readonly read: number; readonly merge: number; readonly refit: number };
  readonly warnings: readonly string[];
}

/** The networks of one bundle, loaded; the one interface of all backends. */
export interface Engine {
  readonly backend: "onnxruntime" | "tensorrt" | "tensorrt-rtx";
  readonly components: readonly Component[];
  /**
   * Makes the loaded weights W_base + Σ scale·Δ, computed from the base whatever the stack was before; an empty stack
   * gives the base's exact bits.
   */
  setStack(stack: readonly StackEntry[], signal?: AbortSignal): Promise<StackReport>;
  run(component: Component, inputs: Inputs): Promise<Outputs>;
  /** Of engines on a GPU: the UNet runs on latents that stay there. A change of the stack takes effect from the next step on. */
  startSampling?(request: DeviceSamplingRequest): Promise<DeviceSampling>;
  /** What keeps it from being as fast as it could be, in sentences. */
  notices?(): readonly string[];
  memory(): EngineMemory;
  unload(): Promise<void>;
}
