import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { UserError, type ErrorCode } from "../../formats/errors.ts";
import type { WeightDtype } from "../../formats/numbers.ts";
import type { Tensor } from "../../formats/tensor.ts";
import type { DenoisingStep } from "../latents.ts";
import { findPackage } from "../native-addon.ts";

/*
 * What native/tensorrt/addon.cc exports: the TensorRT backend, compiled once for each of the three libraries. Failures have a `code` as
 * users see it ("gpu.memory", "engine.failed", "cancelled", …) beside a message that holds TensorRT's own words.
 */

export interface NativeTask<Result> {
  readonly done: Promise<Result>;
  readonly cancel: () => void;
}

export interface NativeRange {
  readonly min: readonly number[];
  readonly opt: readonly number[];
  readonly max: readonly number[];
}

export interface NativeBuildOptions {
  /** Folder of the libraries; "": the loader's own places. */
  readonly library: string;
  readonly onnx: string;
  readonly plan: string;
  readonly timingCache?: string;
  /** By input. */
  readonly profile: Readonly<Record<string, NativeRange>>;
  readonly refit: "individual" | "all" | "none";
  /** For "individual": the initializers that can be changed later. */
  readonly refittable: readonly string[];
  /** 0 to 5. */
  readonly optimizationLevel?: number;
  readonly workspaceBytes?: number;
  /** TensorRT-RTX: 89 for 8.9; empty: the GPU here. Where it is not empty no GPU is needed. */
  readonly computeCapabilities: readonly number[];
}

export interface NativeBuildReport {
  readonly planBytes: number;
  readonly layers: number;
  readonly parseSeconds: number;
  readonly buildSeconds: number;
}

/** A weight that can be changed, and where its base values stand. */
export interface NativeWeight {
  readonly name: string;
  readonly dtype: WeightDtype;
  readonly rows: number;
  readonly columns: number;
  readonly file: string;
  readonly offset: number;
}

/** Where the base's values are kept: on the GPU, in pinned host memory, or only in the file. */
export type BasePlacement = "gpu" | "host" | "file";

export interface NativeLoadOptions {
  readonly library: string;
  readonly plan: string;
  /** TensorRT-RTX: the file in which what it compiles for this plan is kept. */
  readonly jitCache?: string;
  readonly weights: readonly NativeWeight[];
  readonly basePlacement: BasePlacement;
}

/** Numbers in memory, or in a file that the native side reads itself. */
export type NativeNumbers =
  | { readonly data: NodeJS.TypedArray; readonly dtype: WeightDtype }
  | { readonly file: string; readonly offset: number; readonly count: number; readonly dtype: WeightDtype };

/** rank > 0: scale · up [rows, rank] · down [rank, columns]; rank 0: scale · up, which is as large as the weight. */
export interface NativeTerm {
  readonly up: NativeNumbers;
  readonly down?: NativeNumbers;
  readonly rank: number;
  readonly scale: number;
}

/** The GPU's arithmetic for one weight (kind-program.ts): operations on its factors and on scratch memory, in numbers of fp32 each. */
export interface NativeProgram {
  readonly factors: readonly NativeNumbers[];
  readonly scratch: readonly number[];
  readonly code: Float64Array;
}

/** The weight becomes its base plus the terms, or, where there is one, what the program makes of it. */
export interface NativeChange {
  readonly name: string;
  readonly terms: readonly NativeTerm[];
  readonly program?: NativeProgram;
}

/** A stack's changes as tables (packed-changes.ts). */
export interface PackedChanges {
  readonly names: readonly string[];
  /** Rows of: the place in `names`, rank, scale, and the rows of up and down (-1: there is none) in `factors`. */
  readonly terms: Float64Array;
  /** Rows of: the place in `files` or -1 minus the one in `data`, and, for a file, bytes from its start and numbers; then the type (0 F32, 1 F16, 2 BF16). */
  readonly factors: Float64Array;
  readonly files: readonly string[];
  readonly data: readonly NodeJS.TypedArray[];
  readonly programs: readonly PackedProgram[];
}

/** A program, its factors as rows of `factors`. */
export interface PackedProgram extends Omit<NativeProgram, "factors"> {
  /** The place in `names`. */
  readonly change: number;
  readonly factors: readonly number[];
}

/** Milliseconds, bytes and numbers of weights. */
export interface NativeChangeTimes {
  readonly upload: number;
  readonly merge: number;
  readonly refit: number;
  readonly uploadedBytes: number;
  readonly changed: number;
  readonly restored: number;
}

/** Bytes by what holds them. */
export interface NativeMemory {
  readonly plan: number;
  readonly scratch: number;
  readonly buffers: number;
  readonly baseOnGpu: number;
  readonly baseOnHost: number;
  /** On the GPU: room for new values, and the stack's factors. */
  readonly merged: number;
  readonly pinned: number;
  /** Weights that the bundle lists as changeable and the engine does not have. */
  readonly absent: readonly string[];
  /** False after a refit that failed midway. */
  readonly usable: boolean;
  /** Why runs are not launched as CUDA graphs; empty where nothing keeps them from it. */
  readonly graphProblem: string;
}

/** What stays the same in all steps of a sampling. */
export interface NativeSamplingOptions {
  /** Of the latents: [B, C, h, w]. */
  readonly dims: readonly number[];
  /** Whether every run has the negatives' rows before the positives'. */
  readonly isGuided: boolean;
  /** The network's inputs besides `x` and `timesteps`. */
  readonly inputs: Readonly<Record<string, Tensor>>;
}

/** Latents are known by the numbers of their slots, 0 to 63; a slot that is written again has the new ones from there on. */
export type NativeLatentCommand =
  | { readonly kind: "upload"; readonly to: number; readonly values: Float32Array }
  | { readonly kind: "combine"; readonly to: number; readonly terms: readonly { readonly weight: number; readonly slot: number }[] }
  | { readonly kind: "denoise"; readonly to: number; readonly from: number; readonly step: DenoisingStep }
  | { readonly kind: "download"; readonly from: number };

export interface NativeSamplingOutcome {
  /** Of a step, of this call or the one before, whose network gave NaN or infinite values. */
  readonly badTimestep?: number;
  readonly downloads: readonly Float32Array[];
}

/** 8-bit RGB, row by row. */
export interface NativeImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
  /** Whether the decoder gave values that are NaN. */
  readonly hasNan: boolean;
}

/** Latents that stay on the GPU. Calls wait for one another. */
export interface NativeSampling {
  /** Queues the commands in order; answered when those of the call before are done, and with a download when all are. */
  execute(commands: readonly NativeLatentCommand[]): NativeTask<NativeSamplingOutcome>;
  /** Runs a VAE decoder on one image's latents / scale + shift. */
  decode(options: {
    readonly network: NativeNetwork;
    readonly input: string;
    readonly slot: number;
    readonly image: number;
    readonly scale: number;
    readonly shift: number;
  }): NativeTask<NativeImage>;
  /** Waits for the GPU and frees its memory. */
  close(): Promise<void>;
}

/** A loaded engine. Calls wait for one another; the memory handed over must not be written to before the promise is settled. */
export interface NativeNetwork {
  run(inputs: Readonly<Record<string, Tensor<Float32Array> | Tensor<Int32Array>>>): NativeTask<Record<string, Tensor<Float32Array>>>;
  startSampling(options: NativeSamplingOptions): NativeTask<NativeSampling>;
  /** Weights that were changed before and are not named get the base's own bits again. */
  setChanges(changes: PackedChanges): NativeTask<NativeChangeTimes>;
  memory(): NativeMemory;
  close(): Promise<void>;
}

export interface NativeLibraryInformation {
  readonly flavour: string;
  readonly version: string;
  readonly file: string;
}

export interface NativeGpu {
  readonly name: string;
  /** 90 for 9.0. */
  readonly computeCapability: number;
  /** The CUDA version that the driver serves, 13000 for 13.0. */
  readonly driver: number;
  readonly freeBytes: number;
  readonly totalBytes: number;
}

export interface NativeTensorRt {
  /** Loads the libraries of a folder ("": the loader's own places) and says what they are. */
  information(folder: string): NativeLibraryInformation;
  gpu(): NativeGpu;
  build(options: NativeBuildOptions, onProgress: (phase: string, fraction: number) => void): NativeTask<NativeBuildReport>;
  load(options: NativeLoadOptions): NativeTask<NativeNetwork>;
}

/** Which library an add-on was compiled for. */
export type Flavour = "trt10" | "trt11" | "rtx";

/** The add-on for a library, or why there is none. For the worker and the command line only. Never throws. */
export function loadTensorRtAddon(
  flavour: Flavour,
  start: string = import.meta.dirname,
): { readonly file: string; readonly addon?: NativeTensorRt; readonly reason?: string } {
  let file = start;
  try {
    const { folder } = findPackage(start);
    file = join(folder, "build", "Release", `tensorrt_redux_${flavour}.node`);
    if (!existsSync(file)) {
      return { file, reason: "This build has no part for it: the add-on was compiled without TensorRT's headers (TENSORRT_ROOT)" };
    }
    return { file, addon: createRequire(join(folder, "package.json"))(file) as NativeTensorRt };
  } catch (error) {
    return { file, reason: `It cannot be loaded (${firstLine(error)})` };
  }
}

/** Awaits a native task; an aborted signal cancels it. Failures become UserErrors of their own code. */
export async function settle<Result>(task: NativeTask<Result>, signal?: AbortSignal): Promise<Result> {
  const { cancel } = task;
  if (signal?.aborted) cancel();
  signal?.addEventListener("abort", cancel, { once: true });
  try {
    return await task.done;
  } catch (error) {
    throw toUserError(error);
  } finally {
    signal?.removeEventListener("abort", cancel);
  }
}

/** The code and message of a native failure. */
export function toUserError(error: unknown): UserError {
  if (error instanceof UserError) return error;
  // Native code throws no codes but those of NativeError, which are ErrorCodes.
  const { code = "engine.failed" } = error as { readonly code?: ErrorCode };
  return new UserError(code, firstLine(error), { cause: error });
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n", 1)[0]!;
}
