import { extname } from "node:path";
import * as vscode from "vscode";
import type { FileNode } from "./nodes.ts";

/** What rows of the deltas view are dragged as, and those of the stack. */
export const LORA_MIME = "application/vnd.code.tree.tensorrt.deltas";
export const STACK_MIME = "application/vnd.code.tree.tensorrt.stack";
/** What files of the explorer, and of other programs, are dragged as. */
export const URI_LIST_MIME = "text/uri-list";

/** Files that may be LoRAs, from which deltas are made. */
export function isLoraName(path: string): boolean {
  return extname(path) === ".safetensors";
}

/** Files that a stack may hold. */
export function isAdapterName(path: string): boolean {
  return isLoraName(path) || extname(path) === ".trt_lora";
}

/** Rows as what they are and as files, so that they can be dropped on other views and on editors. */
export function dragFiles(nodes: readonly FileNode[], dragged: vscode.DataTransfer, mime: string): void {
  if (nodes.length === 0) return;
  dragged.set(mime, new vscode.DataTransferItem(nodes));
  dragged.set(URI_LIST_MIME, new vscode.DataTransferItem(nodes.map(({ uri }) => uri.toString()).join("\r\n")));
}

export async function droppedUris(dragged: vscode.DataTransfer): Promise<vscode.Uri[]> {
  const rows: unknown = dragged.get(LORA_MIME)?.value;
  if (Array.isArray(rows)) return (rows as FileNode[]).flatMap((row) => ("uri" in row ? [row.uri] : []));
  const list = (await dragged.get(URI_LIST_MIME)?.asString()) ?? "";
  const lines = list.split(/\r?\n/).filter((line) => line !== "" && !line.startsWith("#"));
  // A window that shows another machine's files names them by that machine.
  return lines.map((line) => vscode.Uri.parse(line)).map((uri) => (uri.scheme === "file" ? uri : vscode.Uri.file(uri.path)));
}
