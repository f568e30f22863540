import type { z } from "zod";
import type { EngineMemory } from "../engines/engine-memory.ts";
import type { ErrorCode } from "../formats/errors.ts";
import type { BatchProblem } from "../jobs/batch-file.ts";
import type {
  HeatMapTile,
  InspectionHeader,
  InspectionTarget,
  LayerDetail,
  LayerStatistics,
  LayerTarget,
  TilePlace,
} from "../jobs/inspection/types.ts";
import type { CompareResult, ComparisonDetail, OpenedComparison } from "../jobs/comparison/types.ts";
import type { JobContext, Progress } from "../jobs/context.ts";
import type {
  Backend,
  Base,
  benchOptionsSchema,
  compareOptionsSchema,
  deltaOptionsSchema,
  doctorOptionsSchema,
  exportOptionsSchema,
  generateOptionsSchema,
  gridOptionsSchema,
  inspectOptionsSchema,
  installRuntimeOptionsSchema,
  stackItemSchema,
} from "../jobs/options.ts";
import type { bakeOptionsSchema, extractOptionsSchema, mergeLorasOptionsSchema, resizeOptionsSchema } from "../jobs/tool-options.ts";
import type { BakeResult, CombinedLoraResult, ExtractResult } from "../jobs/tool-results.ts";
import type {
  AppliedStack,
  BenchResult,
  ComponentSummary,
  DeltaResult,
  DoctorResult,
  ExportResult,
  FileSummary,
  GenerateResult,
  GridResult,
  InspectResult,
  InstallRuntimeResult,
  PictureParameters,
  PromptDescription,
} from "../jobs/results.ts";

/*
 * Everything that passes between the extension host and the worker: JSON-RPC 2.0 over the child process's IPC channel. Types
 * alone, so that the extension takes no code from the worker's rooms.
 *
 * Progress goes by JSON-RPC's `$/progress` with the request's token, cancellation by `$/cancelRequest`. A refused request
 * carries `FailureData`.
 */

/** Each job: what is asked, before defaults are filled in, and what comes back. */
export interface Jobs {
  readonly export: { readonly options: z.input<typeof exportOptionsSchema>; readonly result: ExportResult };
  readonly delta: { readonly options: z.input<typeof deltaOptionsSchema>; readonly result: DeltaResult };
  readonly generate: { readonly options: z.input<typeof generateOptionsSchema>; readonly result: GenerateResult };
  readonly grid: { readonly options: z.input<typeof gridOptionsSchema>; readonly result: GridResult };
  readonly bake: { readonly options: z.input<typeof bakeOptionsSchema>; readonly result: BakeResult };
  readonly extract: { readonly options: z.input<typeof extractOptionsSchema>; readonly result: ExtractResult };
  readonly resize: { readonly options: z.input<typeof resizeOptionsSchema>; readonly result: CombinedLoraResult };
  readonly mergeLoras: { readonly options: z.input<typeof mergeLorasOptionsSchema>; readonly result: CombinedLoraResult };
  readonly inspect: { readonly options: z.input<typeof inspectOptionsSchema>; readonly result: InspectResult };
  readonly compare: { readonly options: z.input<typeof compareOptionsSchema>; readonly result: CompareResult };
  readonly bench: { readonly options: z.input<typeof benchOptionsSchema>; readonly result: BenchResult };
  readonly doctor: { readonly options: z.input<typeof doctorOptionsSchema>; readonly result: DoctorResult };
  readonly installRuntime: { readonly options: z.input<typeof installRuntimeOptionsSchema>; readonly result: InstallRuntimeResult };
}

export type JobKind = keyof Jobs;

export type { AppliedStack, BatchProblem, ComponentSummary, FileSummary, PictureParameters, PromptDescription };

/** A LoRA of an engine's stack, before defaults are filled in. */
export type StackItem = z.input<typeof stackItemSchema>;

/** What a running job is told and told about. */
export type JobProgress = Progress;

/** An engine that the worker holds in memory. */
export interface LoadedEngine {
  readonly path: string;
  readonly backend: string;
  /** In all, on the GPU and on the host. */
  readonly memoryBytes: number;
  /** As it was set last; a job's own LoRAs are none of it. */
  readonly stack: readonly StackItem[];
  /** Bytes by what holds them. */
  readonly memory: EngineMemory;
}

type JobRequests = {
  readonly [K in JobKind as `job/${K}`]: {
    readonly params: { readonly options: Jobs[K]["options"]; readonly progressToken: number };
    readonly result: Jobs[K]["result"];
  };
};

/** Host to worker, answered. */
export interface Requests extends JobRequests, InspectionRequests, ComparisonRequests {
  /** Reads headers alone. */
  readonly "files/describe": { readonly params: { readonly paths: readonly string[] }; readonly result: readonly FileSummary[] };
  /** Reads no network: works before the engine is loaded. */
  readonly "prompt/describe": {
    readonly params: { readonly engine: string; readonly prompts: readonly string[] };
    readonly result: readonly PromptDescription[];
  };
  /** What is wrong with the lines of a batch file, whether saved or not. */
  readonly "batch/check": { readonly params: { readonly text: string }; readonly result: readonly BatchProblem[] };
  readonly "picture/parameters": { readonly params: { readonly path: string }; readonly result: PictureParameters };
  /** Why an engine cannot run on this machine; null where nothing speaks against it. */
  readonly "engine/problem": { readonly params: { readonly path: string }; readonly result: string | null };
  readonly "engine/load": {
    readonly params: { readonly path: string; readonly backend: Backend; readonly base?: Base; readonly progressToken: number };
    readonly result: LoadedEngine;
  };
  readonly "engine/unload": { readonly params: { readonly path: string }; readonly result: null };
  /** Of an engine that is loaded; waits for the job that uses it. */
  readonly "engine/setStack": {
    readonly params: { readonly path: string; readonly stack: readonly StackItem[] };
    readonly result: AppliedStack;
  };
}

/** Looking inside a file. Headers are read at once, values layer by layer as they are asked for; nothing native is needed. */
interface InspectionRequests {
  readonly "inspection/open": { readonly params: InspectionTarget; readonly result: InspectionHeader };
  readonly "inspection/statistics": {
    readonly params: LayerTarget & { readonly layers: readonly number[] };
    readonly result: readonly LayerStatistics[];
  };
  readonly "inspection/detail": { readonly params: LayerTarget & { readonly layer: number }; readonly result: LayerDetail };
  readonly "inspection/tile": {
    readonly params: LayerTarget & TilePlace & { readonly layer: number };
    readonly result: HeatMapTile;
  };
  /** Which of the candidates, bundles and checkpoints, a delta was made for. */
  readonly "inspection/findBase": {
    readonly params: { readonly fingerprint: string; readonly candidates: readonly string[] };
    readonly result: string | null;
  };
}

/** What is compared: the job's options, and a folder for results. */
export type ComparisonTarget = Jobs["compare"]["options"] & { readonly cache?: string };
type ComparedLayerTarget = ComparisonTarget & { readonly state: string; readonly layer: string };

/** Looking into a comparison. The first is the job "compare" for who goes on to look at its layers. */
interface ComparisonRequests {
  readonly "comparison/compare": {
    readonly params: { readonly target: ComparisonTarget; readonly progressToken: number };
    readonly result: OpenedComparison;
  };
  readonly "comparison/detail": { readonly params: ComparedLayerTarget; readonly result: ComparisonDetail };
  readonly "comparison/tile": { readonly params: ComparedLayerTarget & TilePlace; readonly result: HeatMapTile };
}

export type InspectionMethod = keyof InspectionRequests | "comparison/detail" | "comparison/tile";

/** Worker to host, not answered. */
export interface Notifications {
  readonly log: { readonly level: Parameters<JobContext["log"]>[0]; readonly message: string };
  /** Sent whenever the engines in memory or their stacks change. */
  readonly engines: { readonly loaded: readonly LoadedEngine[] };
}

/** `data` of a refused request. */
export interface FailureData {
  readonly code: ErrorCode;
  /** What something can be done about: of "bundle.mismatch", the bundle's folder. */
  readonly path?: string;
  /** Where a defect happened; for the log. */
  readonly stack?: string;
}
