import { basename } from "node:path";
import * as vscode from "vscode";
import type { FileSummary } from "../../worker/protocol.ts";
import type { ViewItem } from "../contributions.ts";
import type { ModelFile } from "../files.ts";

/** A row of a view that stands for a file. */
export interface FileNode {
  readonly uri: vscode.Uri;
  readonly kind: ViewItem;
  readonly item: vscode.TreeItem;
}

/** A row with rows below it. */
export interface FolderNode {
  readonly kind: "loraFolder";
  readonly children: readonly FileNode[];
  readonly item: vscode.TreeItem;
}

/** Bytes as people write them, in powers of 1000 as file managers do. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"] as const;
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

function joined(parts: readonly (string | undefined)[]): string {
  return parts.filter((part) => part !== undefined && part !== "").join(" · ");
}

function rankOf({ rank }: FileSummary): string | undefined {
  return rank === undefined ? undefined : vscode.l10n.t("rank {0}", rank);
}

/** The small text beside a row's name. */
export function detailOf({ summary, bytes }: ModelFile): string {
  if (summary.kind === "engine bundle") return joined([summary.architectureLabel, summary.precision, summary.backend]);
  // A model that is none of the known ones has a whole sentence for a label: that is for the tooltip.
  const label = summary.architecture === undefined ? undefined : summary.architectureLabel;
  return joined([label, rankOf(summary), formatBytes(bytes)]);
}

function tooltipOf({ uri, summary, bytes }: ModelFile): string {
  const layers = summary.layers === undefined ? undefined : vscode.l10n.t("{0} layers", summary.layers);
  const facts = joined([summary.architectureLabel, summary.precision, summary.backend, rankOf(summary), layers]);
  const size = summary.kind === "engine bundle" ? undefined : formatBytes(bytes);
  return [uri.fsPath, facts, size, summary.problem].filter((line) => line !== undefined && line !== "").join("\n");
}

function fileItem(file: ModelFile, kind: ViewItem, icon: string): vscode.TreeItem {
  const item = new vscode.TreeItem(file.uri, vscode.TreeItemCollapsibleState.None);
  item.id = `${kind}:${file.uri.fsPath}`;
  item.label = basename(file.uri.fsPath);
  item.description = detailOf(file);
  item.iconPath = new vscode.ThemeIcon(icon);
  item.contextValue = kind;
  item.tooltip = tooltipOf(file);
  return item;
}

export function engineNode(file: ModelFile, loadedBytes: number | undefined): FileNode {
  const kind = loadedBytes === undefined ? "engine" : "engine.loaded";
  const item = fileItem(file, kind, loadedBytes === undefined ? "circuit-board" : "vm-running");
  // The same id whether it is in memory or not, so that the row stays open and selected.
  item.id = `engine:${file.uri.fsPath}`;
  item.collapsibleState = vscode.TreeItemCollapsibleState.Collapsed;
  if (loadedBytes !== undefined) item.description = joined([detailOf(file), vscode.l10n.t("in memory, {0}", formatBytes(loadedBytes))]);
  return { uri: file.uri, kind, item };
}

export function componentNodes(file: ModelFile): FileNode[] {
  return (file.summary.components ?? []).map(({ component, file: name, bytes }) => {
    const item = new vscode.TreeItem(component, vscode.TreeItemCollapsibleState.None);
    item.id = `component:${file.uri.fsPath}:${component}`;
    item.description = formatBytes(bytes);
    item.tooltip = name;
    item.iconPath = new vscode.ThemeIcon("symbol-module");
    item.contextValue = "component" satisfies ViewItem;
    return { uri: vscode.Uri.joinPath(file.uri, name), kind: "component", item };
  });
}

export function deltaNode(file: ModelFile): FileNode {
  return { uri: file.uri, kind: "delta", item: fileItem(file, "delta", "layers") };
}

export function loraNode(file: ModelFile): FileNode {
  return { uri: file.uri, kind: "lora", item: fileItem(file, "lora", "file-binary") };
}

/** The LoRAs, folded away once they are many. */
export function loraFolderNode(children: readonly FileNode[], open: boolean): FolderNode {
  const state = open ? vscode.TreeItemCollapsibleState.Expanded : vscode.TreeItemCollapsibleState.Collapsed;
  const item = new vscode.TreeItem(vscode.l10n.t("LoRA files"), state);
  item.id = "loraFolder";
  item.description = String(children.length);
  item.iconPath = vscode.ThemeIcon.Folder;
  item.contextValue = "loraFolder" satisfies ViewItem;
  return { kind: "loraFolder", children, item };
}
