import type { BundleComponent, EngineBundle } from "../formats/engine-bundle.ts";
import type { Profile } from "../formats/engine-profile.ts";
import type { WeightDtype } from "../formats/numbers.ts";
import type { WeightArithmetic } from "../lora/merge.ts";
import type { Component } from "../models/architecture.ts";
import type { Checkpoint } from "../models/checkpoint.ts";
import type { Engine } from "./engine.ts";
import type { WeightHasher } from "./weight-hashes.ts";

export type BackendName = "onnxruntime" | "tensorrt" | "tensorrt-rtx";

export interface BuildRequest {
  readonly checkpoint: Checkpoint;
  /** All of them components that the checkpoint has. */
  readonly components: readonly Component[];
  /** The type the weights are stored in; absent: as the checkpoint has them. */
  readonly precision: WeightDtype | undefined;
  profileOf(component: Component): Profile;
  /** An existing, empty folder that becomes the bundle. */
  readonly folder: string;
  readonly hasher: WeightHasher;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: (stage: string, fraction: number) => void;
}

/** What a build put into the folder; file names are relative to it. */
export interface BuiltBundle {
  readonly components: BundleComponent[];
  readonly weightFiles: readonly { readonly file: string; readonly bytes: number }[];
  readonly warnings: readonly string[];
}

export interface LoadRequest {
  readonly folder: string;
  readonly bundle: EngineBundle;
  readonly components: readonly Component[];
  readonly arithmetic: WeightArithmetic;
  readonly signal?: AbortSignal | undefined;
  onProgress?(component: Component, fraction: number): void;
}

/** One way of running networks; engines are what it loads. */
export interface Backend {
  readonly name: BackendName;
  version(): string;
  build(request: BuildRequest): Promise<BuiltBundle>;
  load(request: LoadRequest): Promise<Engine>;
}
