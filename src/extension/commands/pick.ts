import { basename, dirname } from "node:path";
import * as vscode from "vscode";
import type { ModelFile } from "../files.ts";
import { detailOf } from "../views/texts.ts";

/** A group of files to choose from, with a heading where it needs one. */
export interface FileGroup {
  readonly heading?: string;
  readonly files: readonly ModelFile[];
}

interface FileItem extends vscode.QuickPickItem {
  readonly path?: string;
}

function fileItems(groups: readonly FileGroup[]): FileItem[] {
  return groups.flatMap(({ heading, files }) => {
    const items = files.map((file) => ({
      label: basename(file.uri.fsPath),
      description: detailOf(file),
      detail: vscode.workspace.asRelativePath(dirname(file.uri.fsPath)),
      path: file.uri.fsPath,
    }));
    if (heading === undefined || items.length === 0) return items;
    return [{ label: heading, kind: vscode.QuickPickItemKind.Separator }, ...items];
  });
}

async function browse(title: string, filters: Record<string, string[]>): Promise<string | undefined> {
  // A bundle is a folder, everything else a file.
  const folders = Object.keys(filters).length === 0;
  const chosen = await vscode.window.showOpenDialog({ title, canSelectFiles: !folders, canSelectFolders: folders, filters });
  return chosen?.[0]?.fsPath;
}

/**
 * Lets a person choose one file, the likeliest first, or another one from disk.
 * @param filters of the dialog; none where a folder is wanted
 */
export async function pickFile(
  title: string,
  placeHolder: string,
  groups: readonly FileGroup[],
  filters: Record<string, string[]>,
): Promise<string | undefined> {
  const browseItem: FileItem = { label: `$(folder-opened) ${vscode.l10n.t("Browse…")}`, alwaysShow: true };
  const items: FileItem[] = [...fileItems(groups), { label: "", kind: vscode.QuickPickItemKind.Separator }, browseItem];
  const chosen = await vscode.window.showQuickPick(items, { title, placeHolder, matchOnDescription: true, matchOnDetail: true });
  if (!chosen) return undefined;
  return chosen === browseItem ? browse(title, filters) : chosen.path;
}

/** Lets a person choose any number of files, none included; undefined where they turn away. */
export async function pickFiles(title: string, placeHolder: string, groups: readonly FileGroup[]): Promise<string[] | undefined> {
  const options = { title, placeHolder, canPickMany: true as const, matchOnDescription: true, matchOnDetail: true };
  const chosen = await vscode.window.showQuickPick(fileItems(groups), options);
  return chosen?.flatMap(({ path }) => (path === undefined ? [] : [path]));
}
