import { isAbsolute, join } from "node:path";
import * as vscode from "vscode";
import type { LoraArgument, LoraReference, Selection } from "../contributions.ts";

/** A path from what a program or the explorer gave. */
export function toPath(value: string | vscode.Uri): string {
  return typeof value === "string" ? value : value.fsPath;
}

/** The options, where a program gave them: an object with this key. */
export function isOptions<T extends object>(argument: unknown, key: keyof T): argument is T {
  return typeof argument === "object" && argument !== null && key in argument;
}

/** The file that a command was started on, if on one. */
export function selectedPath(argument: Selection | object): string | undefined {
  if (argument instanceof vscode.Uri) return argument.fsPath;
  if (isOptions<{ uri: vscode.Uri }>(argument, "uri") && argument.uri instanceof vscode.Uri) return argument.uri.fsPath;
  return undefined;
}

/** The files that a command was started on: of several that are selected, all. */
export function selectedPaths(argument: Selection | object, selected: readonly unknown[] | undefined): string[] {
  const all = selected && selected.length > 0 ? (selected as readonly object[]) : [argument];
  return all.flatMap((each) => selectedPath(each) ?? []);
}

/** A path of a setting, relative ones from the first workspace folder; undefined where there is none to start from. */
export function fromWorkspace(path: string): string | undefined {
  if (isAbsolute(path)) return path;
  const folder = vscode.workspace.workspaceFolders?.find(({ uri }) => uri.scheme === "file");
  return folder && join(folder.uri.fsPath, path);
}

/** `undefined` properties left out, as the jobs' strict schemas want it. */
export function defined<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}

/** A LoRA with its scales, from a path alone or from what a program gave. */
export function toReference(lora: LoraArgument): LoraReference {
  if (typeof lora === "string" || lora instanceof vscode.Uri) return { file: toPath(lora) };
  return defined({ ...lora, file: toPath(lora.file) });
}
