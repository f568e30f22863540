import type { BundleComponent, EngineBundle } from "../formats/engine-bundle.ts";
import type { Profile } from "../formats/engine-profile.ts";
import type { WeightDtype } from "../formats/numbers.ts";
import type { SelfTest } from "../formats/self-test.ts";
import type { WeightArithmetic } from "../lora/merge.ts";
import type { Component } from "../models/architecture.ts";
import type { Checkpoint } from "../models/checkpoint.ts";
import type { Engine } from "./engine.ts";
import type { WeightPlace } from "./weight-files.ts";
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
  /** For backends that compile plans. */
  readonly plan?: PlanOptions | undefined;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: (stage: string, fraction: number) => void;
}

/** How TensorRT builds; all have defaults. */
export interface PlanOptions {
  readonly refit?: "individual" | "all" | "none" | undefined;
  /** 0 (fast to build) to 5 (every kernel tried); TensorRT's own default is 3. */
  readonly optimizationLevel?: number | undefined;
  /** The most scratch memory a layer may use. */
  readonly workspaceBytes?: number | undefined;
  /** Keeps the ONNX file beside the plan. */
  readonly keepOnnx?: boolean | undefined;
  /** Where measurements of kernels are kept between builds. */
  readonly timingCacheFolder?: string | undefined;
  /** TensorRT-RTX: compute capabilities (89 for 8.9) to build for in place of the GPU's here; no GPU is then needed. */
  readonly computeCapabilities?: readonly number[] | undefined;
}

/** What a build put into the folder; file names are relative to it. */
export interface BuiltBundle {
  readonly components: BundleComponent[];
  readonly weightFiles: readonly { readonly file: string; readonly bytes: number }[];
  /** Where each weight stands in them. */
  readonly places: ReadonlyMap<string, WeightPlace>;
  readonly warnings: readonly string[];
  /** Of the GPU that the plans are for, "9.0"; absent where they run on any. */
  readonly computeCapability?: string;
}

/** A bundle that was just built, and what of. */
export interface SelfTestRequest extends Pick<BuildRequest, "checkpoint" | "folder" | "signal" | "onProgress"> {
  readonly built: BuiltBundle;
}

export interface LoadRequest {
  readonly folder: string;
  readonly bundle: EngineBundle;
  readonly components: readonly Component[];
  readonly arithmetic: WeightArithmetic;
  /** Where a GPU engine's base weights are kept; "auto": on the GPU where there is room, else in pinned host memory. */
  readonly basePlacement?: "auto" | "gpu" | "host" | "file" | undefined;
  readonly signal?: AbortSignal | undefined;
  onProgress?(component: Component, fraction: number): void;
}

/** One way of running networks; engines are what it loads. */
export interface Backend {
  readonly name: BackendName;
  version(): string;
  build(request: BuildRequest): Promise<BuiltBundle>;
  /** Runs what was built and compares it with ONNX Runtime, which itself has nothing to be compared with. Throws where it is wrong. */
  readonly selfTest?: (request: SelfTestRequest) => Promise<SelfTest[]>;
  /** Throws where a bundle cannot run on this machine, with why; absent where every bundle of the backend runs everywhere. */
  readonly requireRunnable?: (folder: string, bundle: EngineBundle) => void;
  load(request: LoadRequest): Promise<Engine>;
}
