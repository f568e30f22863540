import { basename, dirname, join } from "node:path";
import * as vscode from "vscode";
import type { SavedFile } from "../../webview/shared/protocol.ts";

/** Asks where a figure is to be saved, beside the file it shows unless told, and writes it; false where the person turns away. */
export async function saveFile(beside: vscode.Uri, { name, bytes }: SavedFile): Promise<boolean> {
  // A layer's name may hold anything.
  const safe = basename(name.replaceAll(/[\\/:*?"<>|]/g, "_"));
  const target = await vscode.window.showSaveDialog({ defaultUri: vscode.Uri.file(join(dirname(beside.fsPath), safe)) });
  if (!target) return false;
  await vscode.workspace.fs.writeFile(target, Buffer.from(bytes, "base64"));
  return true;
}

export async function copyText({ text }: { readonly text: string }): Promise<null> {
  await vscode.env.clipboard.writeText(text);
  return null;
}
