import { basename, join } from "node:path";
import * as vscode from "vscode";
import type { LoadedEngine } from "../../worker/protocol.ts";
import type { ViewItem } from "../contributions.ts";
import type { ModelFile, Summary } from "../files.ts";
import { type FileNode, WARNING, fileItem } from "./nodes.ts";
import { factsTooltip, formatBytes, joined, stackSizeText } from "./texts.ts";

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

function builtForText({ backend, computeCapability }: Summary): string | undefined {
  if (backend === undefined) return undefined;
  if (computeCapability !== undefined) return vscode.l10n.t("GPUs of compute capability {0}", computeCapability);
  return backend === "onnxruntime" ? vscode.l10n.t("any processor") : vscode.l10n.t("any GPU that the library supports");
}

function gpuMemoryText(gpu: LoadedEngine["memory"]["gpu"]): string | undefined {
  if (!gpu) return undefined;
  const [plan, contexts, base, free, total] = [gpu.plan, gpu.contexts, gpu.base, gpu.free, gpu.total].map(formatBytes);
  return vscode.l10n.t("plans {0}, contexts {1}, base {2}; {3} of {4} free", plan!, contexts!, base!, free!, total!);
}

/** "SDXL · fp16 · in memory, 46 MB · 1 LoRA · onnxruntime"; of an engine that cannot run here, why, before anything else. */
function engineDescription({ summary, uri }: ModelFile, { loaded, stackSize, problem }: EngineState): string {
  const { architectureLabel, precision, backend, computeCapability } = summary;
  return joined([
    loaded || problem === undefined ? undefined : withoutPath(problem, uri.fsPath),
    architectureLabel,
    precision,
    loaded ? memoryText(loaded) : sizeText(summary),
    loaded && stackSizeText(stackSize),
    backend,
    computeCapability && vscode.l10n.t("compute {0}", computeCapability),
  ]);
}

/** What a sentence says of a bundle whose name stands before it: the reason, and not where the bundle lies. */
function withoutPath(problem: string, folder: string): string {
  const [, reason = problem] = problem.startsWith(folder) ? (/^:?\s+(.*)$/s.exec(problem.slice(folder.length)) ?? []) : [];
  return reason.replaceAll(join(folder, "/"), "").replaceAll(folder, basename(folder));
}

function memoryText({ memoryBytes }: LoadedEngine): string {
  return vscode.l10n.t("in memory, {0}", formatBytes(memoryBytes));
}

function sizeText({ bundleBytes }: Summary): string | undefined {
  return bundleBytes === undefined ? undefined : formatBytes(bundleBytes);
}

function engineTooltip(file: ModelFile, { loaded, stackSize, problem }: EngineState): vscode.MarkdownString {
  const { summary, uri } = file;
  return factsTooltip(
    basename(uri.fsPath),
    [
      [vscode.l10n.t("Architecture"), summary.architectureLabel],
      [vscode.l10n.t("Precision"), summary.precision],
      [vscode.l10n.t("Backend"), joined([summary.backend, summary.backendVersion])],
      [vscode.l10n.t("Built for"), builtForText(summary)],
      [vscode.l10n.t("Checkpoint"), summary.checkpoint],
      [vscode.l10n.t("Size"), sizeText(summary)],
      [vscode.l10n.t("State"), loaded ? memoryText(loaded) : vscode.l10n.t("not loaded")],
      [vscode.l10n.t("GPU memory"), gpuMemoryText(loaded?.memory.gpu)],
      [vscode.l10n.t("Stack"), stackSizeText(stackSize)],
      [vscode.l10n.t("Folder"), uri.fsPath],
    ],
    problem === undefined ? [] : [problem],
  );
}

export function engineNode(file: ModelFile, known: EngineState): FileNode {
  const { uri, summary } = file;
  // What could not be read has no other row to say so.
  const state = { ...known, problem: summary.kind === "unreadable" ? summary.problem : known.problem };
  const kind = engineKind(state);
  const item = fileItem(file, kind);
  item.iconPath = engineIcon(kind);
  if (summary.components) item.collapsibleState = vscode.TreeItemCollapsibleState.Collapsed;
  item.description = engineDescription(file, state);
  item.tooltip = engineTooltip(file, state);
  return { uri, kind, item };
}

type Component = NonNullable<ModelFile["summary"]["components"]>[number];
type Axis = Component["profile"]["batch"];

function axisText(axis: Axis | undefined): string | undefined {
  if (!axis) return undefined;
  return axis.min === axis.max ? String(axis.opt) : `${axis.min}–${axis.max}`;
}

/** "832–1920 × 832–1920 px · batch 1–4"; the batch alone of a component that has no size. */
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
