import { dirname, extname, join } from "node:path";
import * as vscode from "vscode";
import { DELTAS, SAFETENSORS } from "./suggest.ts";

/**
 * Where a new file goes; the dialog itself asks before a file of the name it was given is replaced.
 * @param beside the file or folder that the dialog starts beside
 * @param name with the extension, which what is typed without it gets as well
 */
export async function askOutput(title: string, beside: string, name: string): Promise<{ output: string; overwrite: boolean } | undefined> {
  const defaultUri = vscode.Uri.file(join(dirname(beside), name));
  const extension = extname(name);
  const filters = extension === ".trt_lora" ? DELTAS : SAFETENSORS;
  const chosen = await vscode.window.showSaveDialog({ title, defaultUri, filters });
  if (!chosen) return undefined;
  const path = chosen.fsPath;
  if (path.toLowerCase().endsWith(extension)) return { output: path, overwrite: true };
  return { output: `${path}${extension}`, overwrite: false };
}
