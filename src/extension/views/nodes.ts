import { basename } from "node:path";
import * as vscode from "vscode";
import type { ViewItem } from "../contributions.ts";
import type { ModelFile } from "../files.ts";

/** A row of a view that stands for a file. */
export interface FileNode {
  readonly uri: vscode.Uri;
  readonly kind: ViewItem;
  readonly item: vscode.TreeItem;
}

export const WARNING = new vscode.ThemeIcon("warning", new vscode.ThemeColor("list.warningForeground"));

export function fileItem(file: ModelFile, kind: ViewItem): vscode.TreeItem {
  const item = new vscode.TreeItem(basename(file.uri.fsPath), vscode.TreeItemCollapsibleState.None);
  // The same whatever becomes known of it, so that the row stays open and selected.
  item.id = file.uri.fsPath;
  item.contextValue = kind;
  return item;
}
