import { createHash, randomUUID } from "node:crypto";
import { mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import * as vscode from "vscode";
import type { DroppedPicture } from "../../webview/generation/protocol.ts";
import { outputFolder } from "../outputFile.ts";
import { isIn } from "../paths.ts";

/** No picture that could be used comes near it. */
export const LARGEST_BYTES = 256 * 1024 * 1024;

/** Where pictures may lie that the page shows: the workspace, and the folder that they are written to. */
export function pictureFolders(): vscode.Uri[] {
  const folders = (vscode.workspace.workspaceFolders ?? []).map(({ uri }) => uri);
  const output = outputFolder();
  return output === undefined ? folders : [...folders, vscode.Uri.file(output)];
}

/**
 * The file of a picture to start from. One that lies where the page may not look, or came as bytes, is kept in `folder` under a name that its
 * content gives it, so that the same picture is kept once.
 */
export async function sourceFile(dropped: DroppedPicture, folder: vscode.Uri): Promise<string> {
  if ("uri" in dropped) {
    const path = pathOf(dropped.uri);
    if ([...pictureFolders(), folder].some(({ fsPath }) => isIn(fsPath, path))) return path;
    // Whatever was dropped: it is not read as a whole to find out that it is no picture.
    checkPicture(basename(path), (await stat(path)).size);
    return sourceFile({ name: basename(path), bytes: await readFile(path) }, folder);
  }
  const bytes = checkedBytes(dropped);
  const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 24);
  return writeTo(folder, `${hash}.png`, bytes);
}

/** Lets `read` read a picture from its file; bytes that were dropped have one for as long as that takes. */
export async function withFile<Result>(
  dropped: DroppedPicture,
  folder: vscode.Uri,
  read: (path: string) => Promise<Result>,
): Promise<Result> {
  if ("uri" in dropped) return read(pathOf(dropped.uri));
  const path = await writeTo(folder, `${randomUUID()}.png`, checkedBytes(dropped));
  try {
    return await read(path);
  } finally {
    await rm(path, { force: true });
  }
}

/** The bytes that a page has sent. */
function checkedBytes({ name, bytes }: { readonly name: string; readonly bytes: Uint8Array }): Uint8Array {
  checkPicture(name, bytes.byteLength);
  return new Uint8Array(bytes);
}

/** Throws a sentence for a person where a file of this name and size is no picture. */
function checkPicture(name: string, bytes: number): void {
  if (extname(name).toLowerCase() !== ".png") throw new Error(vscode.l10n.t("{0} is not a PNG file.", name));
  if (bytes > LARGEST_BYTES) throw new Error(vscode.l10n.t("{0} is too large for a picture.", name));
}

async function writeTo(folder: vscode.Uri, name: string, bytes: Uint8Array): Promise<string> {
  await mkdir(folder.fsPath, { recursive: true });
  const path = join(folder.fsPath, name);
  await writeFile(path, bytes);
  return path;
}

/** A path, or a uri as VS Code's explorer gives it, which in a remote window has the remote's scheme. */
function pathOf(text: string): string {
  if (!/^[\w-]+:\/\//.test(text)) return text;
  const uri = vscode.Uri.parse(text);
  return uri.scheme === "file" ? uri.fsPath : vscode.Uri.file(uri.path).fsPath;
}
