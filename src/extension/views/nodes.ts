import { basename } from "node:path";
import * as vscode from "vscode";
import type { AppliedStack, LoadedEngine } from "../../worker/protocol.ts";
import type { CommandId, ViewItem } from "../contributions.ts";
import type { ModelFile } from "../files.ts";
import type { StackEntry } from "../stack/entries.ts";
import { detailOf, factsTooltip, fitText, formatBytes, formatScale, joined, stackSizeText } from "./texts.ts";

/** A row of a view that stands for a file. */
export interface FileNode {
  readonly uri: vscode.Uri;
  readonly kind: ViewItem;
  readonly item: vscode.TreeItem;
}

/** A row that stands for a folder with LoRAs and deltas. */
export interface FolderNode {
  readonly kind: "folder";
  readonly folder: string;
  readonly item: vscode.TreeItem;
}

/** A row of the stack; `uri` is that of the LoRA or delta. */
export interface StackNode extends FileNode {
  readonly engine: string;
}

/** The row of an empty stack, which a person starts from. */
export interface EmptyStackNode {
  readonly kind: "emptyStack";
  readonly item: vscode.TreeItem;
}

const WARNING = new vscode.ThemeIcon("warning", new vscode.ThemeColor("list.warningForeground"));

function fileItem(file: ModelFile, kind: ViewItem): vscode.TreeItem {
  const item = new vscode.TreeItem(basename(file.uri.fsPath), vscode.TreeItemCollapsibleState.None);
  item.id = `${kind}:${file.uri.fsPath}`;
  item.contextValue = kind;
  return item;
}

/** What the worker holds of an engine, and what the person has put on it. */
export interface EngineState {
  readonly loaded: LoadedEngine | undefined;
  /** LoRAs that are switched on. */
  readonly stackSize: number;
  /** Why it cannot run on this machine. */
  readonly problem: string | undefined;
}

function engineKind({ loaded, problem }: EngineState): ViewItem {
  if (loaded) return "engine.loaded";
  return problem === undefined ? "engine" : "engine.unusable";
}

function engineIcon(kind: ViewItem): vscode.ThemeIcon {
  if (kind === "engine.unusable") return WARNING;
  return kind === "engine"
    ? new vscode.ThemeIcon("circuit-board")
    : new vscode.ThemeIcon("vm-running", new vscode.ThemeColor("charts.green"));
}

function builtForOf({ summary }: ModelFile): string | undefined {
  if (summary.backend === undefined) return undefined;
  const { computeCapability } = summary;
  if (computeCapability !== undefined) return vscode.l10n.t("GPUs of compute capability {0}", computeCapability);
  return summary.backend === "onnxruntime" ? vscode.l10n.t("any processor") : vscode.l10n.t("any GPU that the library supports");
}

function gpuMemoryText(gpu: LoadedEngine["memory"]["gpu"]): string | undefined {
  if (!gpu) return undefined;
  const [plan, contexts, base, free, total] = [gpu.plan, gpu.contexts, gpu.base, gpu.free, gpu.total].map(formatBytes);
  return vscode.l10n.t("plans {0}, contexts {1}, base {2}; {3} of {4} free", plan!, contexts!, base!, free!, total!);
}

export function engineNode(file: ModelFile, state: EngineState): FileNode {
  const { loaded, stackSize } = state;
  const { summary } = file;
  // What could not be read has no other row to say so.
  const problem = summary.kind === "unreadable" ? summary.problem : state.problem;
  const kind = engineKind({ ...state, problem });
  const item = fileItem(file, kind);
  // The same id whatever its state is, so that the row stays open and selected.
  item.id = `engine:${file.uri.fsPath}`;
  item.iconPath = engineIcon(kind);
  if (summary.components) item.collapsibleState = vscode.TreeItemCollapsibleState.Collapsed;
  const memory = loaded && vscode.l10n.t("in memory, {0}", formatBytes(loaded.memoryBytes));
  const size = summary.bundleBytes === undefined ? undefined : formatBytes(summary.bundleBytes);
  const { architectureLabel, precision } = summary;
  item.description = joined([architectureLabel, precision, memory ?? size, loaded && stackSizeText(stackSize), summary.backend]);
  const backend = joined([summary.backend, summary.backendVersion]);
  item.tooltip = factsTooltip(
    basename(file.uri.fsPath),
    [
      [vscode.l10n.t("Architecture"), summary.architectureLabel],
      [vscode.l10n.t("Precision"), summary.precision],
      [vscode.l10n.t("Backend"), backend],
      [vscode.l10n.t("Built for"), builtForOf(file)],
      [vscode.l10n.t("Checkpoint"), summary.checkpoint],
      [vscode.l10n.t("Size"), size],
      [vscode.l10n.t("State"), memory ?? vscode.l10n.t("not loaded")],
      [vscode.l10n.t("GPU memory"), gpuMemoryText(loaded?.memory.gpu)],
      [vscode.l10n.t("Stack"), stackSizeText(stackSize)],
      [vscode.l10n.t("Folder"), file.uri.fsPath],
    ],
    problem === undefined ? [] : [problem],
  );
  // The icon alone tells a screen reader nothing.
  if (problem !== undefined) item.accessibilityInformation = { label: `${basename(file.uri.fsPath)}, ${problem}` };
  return { uri: file.uri, kind, item };
}

type Component = NonNullable<ModelFile["summary"]["components"]>[number];
type Axis = Component["profile"]["batch"];

function axisText(axis: Axis | undefined): string | undefined {
  if (!axis) return undefined;
  return axis.min === axis.max ? String(axis.opt) : `${axis.min}–${axis.max}`;
}

/** "832–1920 × 832–1920 px", or "b 1–4" of a component that has no size. */
function shapeText({ batch, height, width }: Component["profile"]): string {
  const size = height && width ? `${axisText(width)} × ${axisText(height)} px` : undefined;
  return joined([size, vscode.l10n.t("batch {0}", axisText(batch)!)]);
}

function profileText(axis: Axis | undefined): string | undefined {
  if (!axis || axis.min === axis.max) return axisText(axis);
  return vscode.l10n.t("{0} to {1}, best at {2}", axis.min, axis.max, axis.opt);
}

export function componentNodes(file: ModelFile): FileNode[] {
  return (file.summary.components ?? []).map(({ component, file: name, bytes, profile, refittable }) => {
    const item = new vscode.TreeItem(component, vscode.TreeItemCollapsibleState.None);
    item.id = `component:${file.uri.fsPath}:${component}`;
    item.description = joined([shapeText(profile), formatBytes(bytes)]);
    item.tooltip = factsTooltip(component, [
      [vscode.l10n.t("Batch"), profileText(profile.batch)],
      [vscode.l10n.t("Width"), profileText(profile.width)],
      [vscode.l10n.t("Height"), profileText(profile.height)],
      [vscode.l10n.t("Context"), profileText(profile.context)],
      [vscode.l10n.t("Weights that a LoRA can change"), String(refittable)],
      [vscode.l10n.t("Size"), formatBytes(bytes)],
      [vscode.l10n.t("File"), name],
    ]);
    item.iconPath = new vscode.ThemeIcon("symbol-module");
    item.contextValue = "component" satisfies ViewItem;
    return { uri: vscode.Uri.joinPath(file.uri, name), kind: "component", item };
  });
}

const ADAPTER_ICONS = { delta: new vscode.ThemeIcon("layers"), lora: new vscode.ThemeIcon("file-binary") } as const;

/**
 * A LoRA or delta, or a file that may be one. Its tooltip is made when it is asked for: there may be thousands.
 * @param engines names of the engines that it fits; undefined where that is not known, or there is no engine
 */
export function adapterNode(file: ModelFile, engines?: readonly string[]): FileNode {
  const { summary } = file;
  const isDelta = file.form === "delta" || summary.kind === "delta";
  const kind = summary.deltaVersion === 1 ? "delta.version1" : isDelta ? "delta" : "lora";
  const item = fileItem(file, kind);
  item.description = detailOf(file, engines && fitText(engines));
  item.iconPath = summary.kind === "unreadable" ? WARNING : ADAPTER_ICONS[isDelta ? "delta" : "lora"];
  return { uri: file.uri, kind, item };
}

/** @param engines as in `adapterNode` */
export function adapterTooltip(file: ModelFile, engines: readonly string[] | undefined): vscode.MarkdownString {
  const { summary } = file;
  return factsTooltip(
    basename(file.uri.fsPath),
    [
      [vscode.l10n.t("Architecture"), summary.architectureLabel],
      [vscode.l10n.t("Version"), summary.deltaVersion === 1 ? vscode.l10n.t("1, which holds whole weights") : undefined],
      [vscode.l10n.t("Rank"), summary.rank === undefined ? undefined : String(summary.rank)],
      [vscode.l10n.t("Layers"), summary.layers === undefined ? undefined : String(summary.layers)],
      [vscode.l10n.t("Made from"), summary.loraFile],
      [vscode.l10n.t("Strength"), summary.strength === undefined ? undefined : formatScale(summary.strength)],
      [vscode.l10n.t("Fits"), engines && (engines.length > 0 ? engines.join(", ") : vscode.l10n.t("no engine here"))],
      [vscode.l10n.t("Size"), formatBytes(file.bytes)],
      [vscode.l10n.t("File"), file.uri.fsPath],
    ],
    summary.problem === undefined ? [] : [summary.problem],
  );
}

/** A folder's LoRAs and deltas, folded away where they are many. */
export function folderNode(folder: string, count: number, isOpen: boolean): FolderNode {
  const state = isOpen ? vscode.TreeItemCollapsibleState.Expanded : vscode.TreeItemCollapsibleState.Collapsed;
  const item = new vscode.TreeItem(vscode.workspace.asRelativePath(folder), state);
  item.id = `folder:${folder}`;
  item.description = String(count);
  item.tooltip = folder;
  item.iconPath = vscode.ThemeIcon.Folder;
  item.contextValue = "folder" satisfies ViewItem;
  return { kind: "folder", folder, item };
}

/** @param applied what the last change of the stack did; undefined where it has not been applied */
export function stackNode(engine: string, entry: StackEntry, applied: AppliedStack | undefined, problem: string | undefined): StackNode {
  const { file, scale, textEncoderScale, blockWeights, enabled } = entry;
  const name = basename(file).replace(/\.(safetensors|trt_lora)$/i, "");
  const item = new vscode.TreeItem(name, vscode.TreeItemCollapsibleState.None);
  const report = applied?.loras.find((lora) => lora.file === file);
  const weights = report && vscode.l10n.t("{0} weights", report.matched);
  item.id = `stack:${engine}:${file}`;
  item.description = joined([
    `× ${formatScale(scale)}`,
    textEncoderScale === undefined ? undefined : vscode.l10n.t("text × {0}", formatScale(textEncoderScale)),
    blockWeights === undefined ? undefined : vscode.l10n.t("blocks"),
    enabled ? weights : vscode.l10n.t("off"),
  ]);
  const own = problem?.includes(file) ? problem : undefined;
  item.iconPath = own !== undefined || (report?.unmatched.length ?? 0) > 0 ? WARNING : new vscode.ThemeIcon("layers");
  item.checkboxState = {
    state: enabled ? vscode.TreeItemCheckboxState.Checked : vscode.TreeItemCheckboxState.Unchecked,
    tooltip: enabled ? vscode.l10n.t("Switch {0} off", name) : vscode.l10n.t("Switch {0} on", name),
  };
  item.tooltip = factsTooltip(
    name,
    [
      [vscode.l10n.t("Scale"), formatScale(scale)],
      [vscode.l10n.t("Scale on the text encoders"), textEncoderScale === undefined ? undefined : formatScale(textEncoderScale)],
      [vscode.l10n.t("Block weights"), blockWeights],
      [vscode.l10n.t("Weights that it changes"), report && String(report.matched)],
      [vscode.l10n.t("Keys that were left out"), report && report.unmatched.length > 0 ? String(report.unmatched.length) : undefined],
      [vscode.l10n.t("File"), file],
    ],
    [...(own === undefined ? [] : [own]), ...(report?.warnings ?? [])],
  );
  item.contextValue = "stackEntry" satisfies ViewItem;
  return { engine, uri: vscode.Uri.file(file), kind: "stackEntry", item };
}

/** A view without rows takes no drop: that of an empty stack has this one. */
export function emptyStackNode(engine: string): EmptyStackNode {
  const item = new vscode.TreeItem(vscode.l10n.t("Add to Stack…"), vscode.TreeItemCollapsibleState.None);
  item.id = `emptyStack:${engine}`;
  item.iconPath = new vscode.ThemeIcon("add");
  item.command = { command: "tensorrt.addToStack" satisfies CommandId, title: vscode.l10n.t("Add to Stack…") };
  return { kind: "emptyStack", item };
}
