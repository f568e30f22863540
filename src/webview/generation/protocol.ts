import type { Progress } from "../../jobs/context.ts";
import type { PictureParameters, PromptDescription } from "../../jobs/results.ts";
import type { GenerationForm, KeptForm } from "./model/form.ts";

/* What the generation panel and the extension host tell each other. */

/** The values that one axis of an engine's profile allows, and the one it is tuned for. */
export interface Range {
  readonly min: number;
  readonly opt: number;
  readonly max: number;
}

/** An engine that pictures can be made with. */
export interface EngineChoice {
  readonly path: string;
  readonly name: string;
  /** Architecture, precision and backend, as lists show them. */
  readonly detail: string;
  readonly architecture?: string;
  /** How much memory it takes, as text; absent where it is not loaded. */
  readonly memory?: string;
  readonly batch?: Range;
  /** Pixels. */
  readonly width?: Range;
  readonly height?: Range;
  /** Of the checkpoint, of which a picture's parameters hold the beginning. */
  readonly fingerprint?: string;
  /** It can start from a picture. */
  readonly takesImage: boolean;
  /** Why it cannot run on this machine. */
  readonly problem?: string;
}

/** A LoRA or delta that a prompt can name. */
export interface LoraChoice {
  readonly file: string;
  readonly name: string;
  readonly detail: string;
  /** Architecture, where it is known. */
  readonly architecture?: string;
  /** Of the checkpoint that a delta was made for. */
  readonly fingerprint?: string;
}

export interface StackItem {
  readonly file: string;
  readonly name: string;
  readonly scale: number;
  readonly textEncoderScale?: number;
  readonly blockWeights?: string;
  readonly enabled: boolean;
}

/** The stack of the engine that the panel has chosen. */
export interface StackView {
  readonly engine: string;
  readonly items: readonly StackItem[];
  readonly applying: boolean;
  /** Milliseconds that the last change took, of an engine in memory. */
  readonly refit?: number;
  readonly problem?: string;
}

/** A picture to start from. */
export interface SourcePicture {
  readonly path: string;
  readonly name: string;
  /** For the page to show. */
  readonly uri: string;
}

/** One direction of a grid, as the job takes it. */
export interface AxisRequest {
  readonly option: "lora" | "steps" | "cfg" | "cfgRescale" | "sampler" | "schedule" | "seed" | "strength";
  readonly lora?: string;
  readonly values: readonly (number | string)[];
}

/** What a job needs besides the LoRAs, all values checked against the engine's profile. */
export interface JobValues {
  readonly engine: string;
  readonly prompt: string;
  readonly negative: string;
  readonly width: number;
  readonly height: number;
  readonly steps: number;
  readonly cfg: number;
  readonly cfgRescale: number;
  readonly sampler: string;
  readonly schedule: string;
  /** Absent: a random one. */
  readonly seed?: string;
  readonly batch: number;
  readonly image?: string;
  readonly strength: number;
  readonly grid?: { readonly x: AxisRequest; readonly y?: AxisRequest };
}

export interface JobRequest {
  /** As it stands on the panel, to be restored from the history. */
  readonly form: GenerationForm;
  readonly values: JobValues;
}

/** A job was not begun, for a reason that belongs to a field. */
export interface Refusal {
  readonly field: "prompt" | "negative" | "engine";
  readonly message: string;
}

export interface QueuedJob {
  readonly id: string;
  /** The prompt, shortened. */
  readonly title: string;
  readonly seed: string;
  readonly pictures: number;
}

export interface RunningJob extends QueuedJob {
  readonly progress?: Progress;
}

export interface QueueView {
  readonly running?: RunningJob;
  readonly waiting: readonly QueuedJob[];
  /** Why the waiting jobs do not go on by themselves. */
  readonly paused?: "reloaded" | "workerDied";
  /** What the last job ended with, unless it went well. */
  readonly problem?: string;
}

/** A picture that was made here, and all that it was made with. */
export interface HistoryItem {
  readonly id: string;
  readonly pictures: readonly { readonly path: string; readonly name: string; readonly uri: string }[];
  readonly form: GenerationForm;
  readonly stack: readonly StackItem[];
  readonly seed: string;
  readonly milliseconds: number;
  readonly isGrid: boolean;
}

/** What a picture's file is asked to be shown in. */
export type OpenIn = "editor" | "explorer";

/** All that the host knows. */
export interface PanelState {
  /** False in Restricted Mode: nothing can be run. */
  readonly trusted: boolean;
  readonly engines: readonly EngineChoice[];
  readonly loras: readonly LoraChoice[];
  readonly stack: StackView | null;
  readonly queue: QueueView;
  readonly history: readonly HistoryItem[];
}

/** Where a picture comes from: a path or uri of the workspace, or the bytes that were dropped. */
export type DroppedPicture = { readonly uri: string } | { readonly name: string; readonly bytes: Uint8Array };

export interface GenerationProtocol {
  readonly requests: {
    readonly state: { readonly params: { readonly engine: string }; readonly result: PanelState };
    /** Keeps the form for the next time the panel is opened, and tells which engine's stack the panel shows. */
    readonly "form/keep": { readonly params: KeptForm; readonly result: null };
    readonly "prompt/describe": {
      readonly params: { readonly engine: string; readonly prompts: readonly string[] };
      readonly result: readonly PromptDescription[];
    };
    readonly "engine/load": { readonly params: { readonly engine: string }; readonly result: null; readonly progress: Progress };
    readonly "engine/unload": { readonly params: { readonly engine: string }; readonly result: null };
    readonly "job/start": { readonly params: JobRequest; readonly result: Refusal | null };
    readonly "job/cancel": { readonly params: { readonly id: string }; readonly result: null };
    readonly "queue/continue": { readonly params: null; readonly result: null };
    readonly "queue/discard": { readonly params: null; readonly result: null };
    readonly "stack/change": {
      readonly params: { readonly engine: string; readonly file: string; readonly scale?: number; readonly enabled?: boolean };
      readonly result: null;
    };
    readonly "stack/add": { readonly params: { readonly engine: string }; readonly result: null };
    readonly "stack/remove": { readonly params: { readonly engine: string; readonly file: string }; readonly result: null };
    /** Replaces the whole stack; gives the one before. */
    readonly "stack/restore": {
      readonly params: { readonly engine: string; readonly items: readonly StackItem[] };
      readonly result: readonly StackItem[];
    };
    readonly "source/pick": { readonly params: null; readonly result: SourcePicture | null };
    readonly "source/drop": { readonly params: DroppedPicture; readonly result: SourcePicture };
    readonly "picture/parameters": { readonly params: DroppedPicture; readonly result: PictureParameters };
    readonly "history/open": { readonly params: { readonly path: string; readonly place: OpenIn }; readonly result: null };
    readonly "history/delete": { readonly params: { readonly id: string }; readonly result: null };
    readonly trust: { readonly params: null; readonly result: null };
  };
  readonly events: {
    /** Whatever has changed. */
    readonly changed: Partial<PanelState>;
    readonly progress: { readonly id: string; readonly progress: Progress };
    /** A job has ended well: its picture is the first of the history. */
    readonly done: { readonly id: string };
    /** The command asks for this engine. */
    readonly choose: { readonly engine: string };
  };
}

export interface PanelStart {
  readonly defaults: GenerationForm;
  /** The form as the workspace kept it, not yet checked. */
  readonly kept: unknown;
  /** The engine that the command was started on. */
  readonly engine?: string;
  readonly samplers: readonly string[];
  readonly schedules: readonly string[];
  /** Bytes; a file that is larger is not read when it is dropped. */
  readonly largestPicture: number;
}
