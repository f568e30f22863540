import type { SelfTest } from "../formats/self-test.ts";
import type { ExportOptions } from "./options.ts";
import type { EngineMemory } from "../engines/engine-memory.ts";
import type { GenerationParameters } from "../formats/generation-parameters.ts";
import type { Profile } from "../formats/engine-profile.ts";
import type { Architecture, Component } from "../models/architecture.ts";
import type { PromptLora } from "../pipeline/prompt.ts";
import type { LayerStatistics } from "./inspection/types.ts";

export interface ExportResult {
  /** Path of the bundle's folder. */
  readonly bundle: string;
  readonly components: readonly { readonly component: Component; readonly file: string; readonly bytes: number }[];
  /** What each component gave when it was run after the build; absent on ONNX Runtime, which the others are compared with. */
  readonly selfTest?: readonly SelfTest[];
  readonly warnings: readonly string[];
}

export interface DeltaResult {
  readonly file: string;
  /** True where the same delta had been made before and was kept. */
  readonly cached: boolean;
  readonly matched: readonly string[];
  readonly unmatched: readonly { readonly name: string; readonly reason: string }[];
  readonly warnings: readonly string[];
}

export interface LoraReport {
  readonly file: string;
  readonly scale: number;
  readonly matched: number;
  readonly unmatched: readonly { readonly name: string; readonly reason: string }[];
  readonly warnings: readonly string[];
}

/** What a change of an engine's stack did. */
export interface AppliedStack {
  readonly loras: readonly LoraReport[];
  /** Weights whose values changed, those set back to the base's included. */
  readonly changed: number;
  readonly restored: number;
  /** Milliseconds; `read` is that of the LoRAs' files. */
  readonly timings: { readonly read: number; readonly merge: number; readonly refit: number; readonly total: number };
  readonly warnings: readonly string[];
}

/** Milliseconds. */
export interface GenerateTimings {
  readonly load: number;
  readonly stack: number;
  readonly encode: number;
  readonly step: number;
  readonly decode: number;
  readonly total: number;
}

export interface GenerateResult {
  readonly images: readonly string[];
  /** Decimal, because seeds have 64 bits. */
  readonly seed: string;
  readonly sigmas: readonly number[];
  readonly timings: GenerateTimings;
  readonly loras: readonly LoraReport[];
  readonly warnings: readonly string[];
}

export interface GridResult {
  /** The path of the one picture that shows them all. */
  readonly image: string;
  /** Of every picture, unless the grid is one of seeds; decimal, because seeds have 64 bits. */
  readonly seed: string;
  /** Labels of the columns and the rows, as drawn. */
  readonly columns: readonly string[];
  readonly rows: readonly string[];
  /** Milliseconds: each picture, row by row, and all together. */
  readonly timings: { readonly pictures: readonly number[]; readonly total: number };
  readonly warnings: readonly string[];
}

export interface InspectResult {
  readonly file: string;
  readonly kind: "checkpoint" | "lora" | "delta" | "engine bundle" | "safetensors";
  readonly architecture?: Architecture;
  readonly bytes: number;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: readonly { readonly name: string; readonly dtype: string; readonly shape: readonly number[]; readonly bytes: number }[];
  /** Parameters by dtype and in all. */
  readonly parameters: { readonly total: number; readonly byDtype: Readonly<Record<string, number>> };
  readonly notes: readonly string[];
  /** Of LoRAs and deltas. */
  readonly statistics?: readonly LayerStatistics[];
}

export interface BenchResult {
  readonly engine: string;
  readonly backend: string;
  readonly stepMilliseconds: { readonly median: number; readonly min: number; readonly max: number };
  readonly loadMilliseconds: number;
  readonly switches: readonly {
    readonly stack: string;
    readonly read: number;
    readonly merge: number;
    readonly refit: number;
    readonly total: number;
  }[];
  readonly memoryBytes: EngineMemory & { readonly process: number };
}

export interface InstallRuntimeResult {
  readonly folder: string;
  readonly package: string;
  readonly version: string;
  readonly bytes: number;
  /** True where it had been there before and was kept. */
  readonly cached: boolean;
}

export interface DoctorFinding {
  readonly name: string;
  readonly state: "found" | "missing" | "unusable";
  readonly version?: string;
  readonly where?: string;
  /** Every place looked in, and why it was not it. */
  readonly tried: readonly { readonly place: string; readonly reason: string }[];
  readonly advice?: string;
}

export interface DoctorResult {
  readonly version: string;
  readonly platform: string;
  readonly findings: readonly DoctorFinding[];
}

/** How an engine reads a prompt. */
export interface PromptDescription {
  /** Without the start and end tokens. */
  readonly tokens: number;
  /** Tokens that the chunks it fills have room for: 75, 150, … */
  readonly room: number;
  /** The room that the engine's profile allows, where it says. */
  readonly limit?: number;
  /** The prompt without its references to LoRAs. */
  readonly text: string;
  readonly loras: readonly PromptLora[];
  /** Why it cannot be read. */
  readonly problem?: string;
}

/** The parameters that a picture holds, as JSON can carry them. */
export type PictureParameters = Omit<GenerationParameters, "others"> & { readonly others: Readonly<Record<string, string>> };

/** A network of an engine bundle. */
export interface ComponentSummary {
  readonly component: Component;
  readonly file: string;
  readonly bytes: number;
  readonly profile: Profile;
  /** How many of its weights a LoRA can change. */
  readonly refittable: number;
}

/** What a file's header says it is, for lists; `problem` says why it could not be read. */
export interface FileSummary {
  readonly path: string;
  readonly kind: InspectResult["kind"] | "unreadable";
  readonly architecture?: Architecture;
  /** The architecture as people write it: "SDXL". */
  readonly architectureLabel?: string;
  /** A LoRA's or delta's rank, the largest where layers differ. */
  readonly rank?: number;
  /** How many weights a LoRA or delta changes. */
  readonly layers?: number;
  readonly precision?: string;
  readonly backend?: string;
  readonly backendVersion?: string;
  /** CUDA's, of the GPU that a bundle's plans are for. */
  readonly computeCapability?: string;
  readonly components?: readonly ComponentSummary[];
  /** Of all files that a bundle runs from. */
  readonly bundleBytes?: number;
  /** The name of the checkpoint a bundle was built from. */
  readonly checkpoint?: string;
  /** What exports the same bundle again, where its checkpoint is still where it was. */
  readonly exportOptions?: ExportOptions;
  /** What a delta was made from, and the strength that is folded into it. */
  readonly loraFile?: string;
  readonly strength?: number;
  /** Of a delta's format. */
  readonly deltaVersion?: 1 | 2;
  /** Of the checkpoint a bundle was built from, or a delta made for. */
  readonly fingerprint?: string;
  readonly problem?: string;
}
