import type { Disposable, ExtensionContext, Uri } from "vscode";
import * as vscode from "vscode";
import type { AppliedStack, Jobs, LoadedEngine } from "../worker/protocol.ts";
import type { EntryChange, Stack } from "./stack/entries.ts";
import type { FileNode } from "./views/nodes.ts";

/*
 * Every command, setting, view and context value of package.json as a type, so that a misspelt one does not compile; a test
 * compares this with package.json.
 */

/** Where a command was started from: nothing (palette), a file of the explorer, or a row of a view. */
export type Selection = Uri | FileNode | undefined;

export type LoraReference = NonNullable<Jobs["generate"]["options"]["lora"]>[number];
type WithUris<T, K extends keyof T> = Omit<T, K> & { readonly [P in K]: Exclude<T[P], string> | string | Uri };

/** A LoRA with its scales, as programs give it. */
export type LoraArgument = string | Uri | WithUris<LoraReference, "file">;

/** The options of the jobs, with `vscode.Uri`s allowed where a path is; given by programs, with no dialog. */
export type ExportArguments = WithUris<Jobs["export"]["options"], "checkpoint" | "output">;
export type DeltaArguments = WithUris<Jobs["delta"]["options"], "engine" | "lora" | "output">;
export type GenerateArguments = Omit<WithUris<Jobs["generate"]["options"], "engine" | "output">, "lora"> & {
  /** "stack": those that are switched on in the engine's stack. */
  readonly lora?: "stack" | readonly LoraArgument[];
};
type WithLoras<T> = Omit<T, "lora"> & { readonly lora: readonly LoraArgument[] };
export type BakeArguments = WithLoras<WithUris<Jobs["bake"]["options"], "checkpoint" | "output">>;
export type ExtractArguments = WithUris<Jobs["extract"]["options"], "original" | "tuned" | "output">;
export type ResizeArguments = WithUris<Jobs["resize"]["options"], "lora" | "output">;
export type MergeLorasArguments = WithLoras<WithUris<Jobs["mergeLoras"]["options"], "output">>;
export type InstallRuntimeArguments = Jobs["installRuntime"]["options"];
export type InspectArguments = WithUris<Jobs["inspect"]["options"], "file" | "base">;

/** What is compared; `b` absent: what `a` changes. With `show` a person sees it in a tab, else it is computed and returned. */
export interface CompareArguments {
  readonly a: readonly LoraArgument[];
  readonly b?: readonly LoraArgument[];
  readonly base?: string | Uri;
  readonly show?: boolean;
}

/** Whose stack: that of the engine which the stack view shows unless told. */
export interface StackArguments {
  readonly engine?: string | Uri;
}

/** The stack as it is after a command; `applied` where its engine is loaded. */
export interface StackResult {
  readonly engine: string;
  readonly stack: Stack;
  readonly applied?: AppliedStack;
}

export type EntryArguments = StackArguments & { readonly file: string | Uri };

/** What a menu gives besides the row or file it was opened on: all that are selected. */
export type Selected = readonly (Uri | FileNode)[] | undefined;

/** What each command takes and gives. */
export interface Commands {
  "tensorrt.exportEngine": (argument?: Selection | ExportArguments) => Promise<Jobs["export"]["result"] | undefined>;
  "tensorrt.exportDelta": (argument?: Selection | DeltaArguments, selected?: Selected) => Promise<Jobs["delta"]["result"] | undefined>;
  "tensorrt.convertDelta": (argument?: Selection | DeltaArguments) => Promise<Jobs["delta"]["result"] | undefined>;
  "tensorrt.generateImage": (argument?: Selection | GenerateArguments) => Promise<Jobs["generate"]["result"] | undefined>;
  "tensorrt.openGenerationPanel": (argument?: Selection | { readonly engine: string | Uri }) => Promise<void>;
  "tensorrt.runBatch": (argument?: Selection) => Promise<void>;
  "tensorrt.bake": (argument?: Selection | BakeArguments, selected?: Selected) => Promise<Jobs["bake"]["result"] | undefined>;
  "tensorrt.extractLora": (argument?: Selection | ExtractArguments) => Promise<Jobs["extract"]["result"] | undefined>;
  "tensorrt.resizeLora": (argument?: Selection | ResizeArguments) => Promise<Jobs["resize"]["result"] | undefined>;
  "tensorrt.mergeLoras": (
    argument?: Selection | MergeLorasArguments,
    selected?: Selected,
  ) => Promise<Jobs["mergeLoras"]["result"] | undefined>;
  "tensorrt.inspect": (argument?: Selection | InspectArguments) => Promise<Jobs["inspect"]["result"] | undefined>;
  "tensorrt.compareDeltas": (
    argument?: Selection | CompareArguments,
    selected?: Selected,
  ) => Promise<Jobs["compare"]["result"] | undefined>;
  "tensorrt.installRuntime": (argument?: Selection | InstallRuntimeArguments) => Promise<Jobs["installRuntime"]["result"] | undefined>;
  "tensorrt.doctor": () => Promise<Jobs["doctor"]["result"] | undefined>;
  "tensorrt.loadEngine": (argument?: Selection | { readonly engine: string | Uri }) => Promise<LoadedEngine | undefined>;
  "tensorrt.unloadEngine": (argument?: Selection | { readonly engine: string | Uri }) => Promise<void>;
  "tensorrt.rebuildEngine": (argument?: Selection) => Promise<Jobs["export"]["result"] | undefined>;
  "tensorrt.addToStack": (argument?: Selection | (EntryArguments & EntryChange), selected?: Selected) => Promise<StackResult | undefined>;
  "tensorrt.removeFromStack": (argument?: Selection | EntryArguments, selected?: Selected) => Promise<StackResult | undefined>;
  "tensorrt.setScale": (
    argument?: Selection | (EntryArguments & EntryChange & { readonly scale: number }) | { readonly step: number },
    selected?: Selected,
  ) => Promise<StackResult | undefined>;
  "tensorrt.toggleInStack": (argument?: Selection, selected?: Selected) => Promise<StackResult | undefined>;
  "tensorrt.moveInStack": (argument: { readonly by: -1 | 1 }) => Promise<StackResult | undefined>;
  "tensorrt.previewStack": (argument?: Selection | StackArguments) => Promise<Jobs["compare"]["result"] | undefined>;
  "tensorrt.previewInStack": (
    argument: Selection | (EntryArguments & EntryChange),
    selected?: Selected,
  ) => Promise<Jobs["compare"]["result"] | undefined>;
  "tensorrt.clearStack": (argument?: Selection | StackArguments) => Promise<StackResult | undefined>;
  "tensorrt.chooseEngine": (argument?: Selection | StackArguments) => Promise<void>;
  "tensorrt.reveal": (argument?: Selection) => Promise<void>;
  "tensorrt.delete": (argument?: Selection, selected?: Selected) => Promise<void>;
  "tensorrt.openSettings": (query?: string | Selection) => Promise<void>;
  "tensorrt.refresh": () => Promise<void>;
  "tensorrt.restartWorker": () => Promise<void>;
  "tensorrt.showLog": () => Promise<void>;
}

export type CommandId = keyof Commands;

/** Registers a handler for every command; a missing one does not compile. */
export function registerCommands(handlers: Commands): Disposable[] {
  return Object.entries(handlers).map(([id, handler]) => vscode.commands.registerCommand(id, handler));
}

/** Settings with the types that package.json declares. */
export interface Settings {
  readonly enginePaths: readonly string[];
  readonly modelPaths: readonly string[];
  readonly engineFolder: string;
  readonly outputFolder: string;
  readonly backend: NonNullable<Jobs["generate"]["options"]["backend"]>;
  readonly libraryPath: string;
  readonly pythonPath: string;
  readonly "load.base": NonNullable<Jobs["generate"]["options"]["base"]>;
  readonly "export.refit": NonNullable<Jobs["export"]["options"]["refit"]>;
  readonly "export.keepOnnx": boolean;
  readonly "export.optimizationLevel": number | null;
  readonly "export.workspace": number | null;
  readonly "export.timingCache": string;
  readonly "export.computeCapability": readonly string[];
  readonly "generate.negative": string;
  readonly "generate.steps": number;
  readonly "generate.cfg": number;
  readonly "generate.sampler": NonNullable<Jobs["generate"]["options"]["sampler"]>;
  readonly "generate.schedule": NonNullable<Jobs["generate"]["options"]["schedule"]>;
}

/** A setting's value; the default is the one in package.json. */
export function setting<K extends keyof Settings>(name: K): Settings[K] {
  const value = vscode.workspace.getConfiguration("tensorrt").get<Settings[K]>(name);
  if (value === undefined) throw new Error(`The setting tensorrt.${name} is not declared in package.json.`);
  return value;
}

/** The names that a setting may have, as package.json lists them. */
export function settingChoices(context: ExtensionContext, name: "generate.sampler" | "generate.schedule"): readonly string[] {
  const { contributes } = context.extension.packageJSON as {
    readonly contributes: {
      readonly configuration: readonly { readonly properties: Readonly<Record<string, { readonly enum?: readonly string[] }>> }[];
    };
  };
  const groups = contributes.configuration.map(({ properties }) => properties[`tensorrt.${name}`]?.enum ?? []);
  return groups.flat();
}

export const VIEWS = { engines: "tensorrt.engines", deltas: "tensorrt.deltas", stack: "tensorrt.stack" } as const;

/** Of custom editors and webview panels. */
export const VIEW_TYPES = { inspector: "tensorrt.deltaEditor", comparison: "tensorrt.comparison" } as const;

/** `viewItem` of each kind of row, as `when` clauses name it. */
export type ViewItem =
  | "engine"
  | "engine.loaded"
  | "engine.unusable"
  | "component"
  | "delta"
  | "delta.version1"
  | "lora"
  | "folder"
  | "stackEntry";

/** What `when` clauses ask about, besides VS Code's own keys. */
export interface ContextKeys {
  readonly "tensorrt.engineLoaded": boolean;
  readonly "tensorrt.severalEnginesLoaded": boolean;
  readonly "tensorrt.stackInUse": boolean;
}

export function setContext<K extends keyof ContextKeys>(key: K, value: ContextKeys[K]): void {
  void vscode.commands.executeCommand("setContext", key, value);
}

/** Scheme of the read-only text documents of inspect and doctor. */
export const REPORT_SCHEME = "tensorrt-report";

/** The language of batch files. */
export const BATCH_LANGUAGE = "tensorrt-batch";
