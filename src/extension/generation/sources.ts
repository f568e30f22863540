import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { extname, join } from "node:path";
import * as vscode from "vscode";
import type { DroppedPicture } from "../../webview/generation/protocol.ts";

/** No picture that could be used comes near it. */
const LARGEST_BYTES = 256 * 1024 * 1024;

/**
 * The file that a person dropped on the panel. Bytes that came from outside of the workspace are kept under a name that they give themselves,
 * so that the same picture is kept once.
 * @param folder where such bytes are kept
 */
export async function droppedFile(dropped: DroppedPicture, folder: vscode.Uri): Promise<string> {
  if ("uri" in dropped) return pathOf(dropped.uri);
  const bytes = new Uint8Array(dropped.bytes);
  if (extname(dropped.name).toLowerCase() !== ".png") throw new Error(vscode.l10n.t("{0} is not a PNG file.", dropped.name));
  if (bytes.byteLength > LARGEST_BYTES) throw new Error(vscode.l10n.t("{0} is too large for a picture.", dropped.name));
  await mkdir(folder.fsPath, { recursive: true });
  const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 24);
  const path = join(folder.fsPath, `${hash}.png`);
  await writeFile(path, bytes);
  return path;
}

/** A path, or a uri as VS Code's explorer gives it, which in a remote window has the remote's scheme. */
function pathOf(text: string): string {
  if (!/^[\w-]+:\/\//.test(text)) return text;
  const uri = vscode.Uri.parse(text);
  return uri.scheme === "file" ? uri.fsPath : vscode.Uri.file(uri.path).fsPath;
}
