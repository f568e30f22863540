import { basename } from "node:path";
import * as vscode from "vscode";

/**
 * To the trash, after a question; where the machine that holds the file has none, for good, after another one.
 * @param prepare runs once the person has agreed
 */
export async function moveToTrash(uri: vscode.Uri, prepare?: () => Promise<void>): Promise<boolean> {
  const name = basename(uri.fsPath);
  const move = vscode.l10n.t("Move to Trash");
  const question = vscode.l10n.t("Move {0} to the trash?", name);
  if ((await vscode.window.showWarningMessage(question, { modal: true, detail: uri.fsPath }, move)) !== move) return false;
  await prepare?.();
  try {
    await vscode.workspace.fs.delete(uri, { recursive: true, useTrash: true });
    return true;
  } catch {
    const remove = vscode.l10n.t("Delete Permanently");
    const other = vscode.l10n.t("{0} cannot be moved to the trash here. Delete it permanently?", name);
    if ((await vscode.window.showWarningMessage(other, { modal: true, detail: uri.fsPath }, remove)) !== remove) return false;
    await vscode.workspace.fs.delete(uri, { recursive: true, useTrash: false });
    return true;
  }
}
