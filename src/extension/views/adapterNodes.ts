import { basename } from "node:path";
import * as vscode from "vscode";
import type { ViewItem } from "../contributions.ts";
import type { ModelFile } from "../files.ts";
import { type FileNode, WARNING, fileItem } from "./nodes.ts";
import { detailOf, factsTooltip, fitText, formatBytes, formatScale } from "./texts.ts";

/** A row that stands for a folder with LoRAs and deltas. */
export interface FolderNode {
  readonly kind: "folder";
  readonly folder: string;
  readonly item: vscode.TreeItem;
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
