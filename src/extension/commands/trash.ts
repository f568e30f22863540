import { basename } from "node:path";
import * as vscode from "vscode";

/**
 * Files and folders to the trash, after one question for all; where the machine that holds them has none, for good, after another one.
 * @param prepare runs once the person has agreed
 * @returns false where the person turned away: some may be in the trash by then
 */
export async function moveToTrash(uris: readonly vscode.Uri[], prepare?: () => Promise<void>): Promise<boolean> {
  const move = vscode.l10n.t("Move to Trash");
  if (!(await agrees(vscode.l10n.t("Move {0} to the trash?", namesOf(uris)), uris, move))) return false;
  await prepare?.();
  const left: vscode.Uri[] = [];
  for (const uri of uris) {
    try {
      await vscode.workspace.fs.delete(uri, { recursive: true, useTrash: true });
    } catch {
      left.push(uri);
    }
  }
  if (left.length === 0) return true;
  const question = vscode.l10n.t("{0} cannot be moved to the trash here. Delete for good?", namesOf(left));
  if (!(await agrees(question, left, vscode.l10n.t("Delete Permanently")))) return false;
  for (const uri of left) await vscode.workspace.fs.delete(uri, { recursive: true, useTrash: false });
  return true;
}

function namesOf(uris: readonly vscode.Uri[]): string {
  return uris.length === 1 ? basename(uris[0]!.fsPath) : vscode.l10n.t("{0} files", uris.length);
}

/** Asks with the paths below the question. */
async function agrees(question: string, uris: readonly vscode.Uri[], answer: string): Promise<boolean> {
  const detail = uris.map(({ fsPath }) => fsPath).join("\n");
  return (await vscode.window.showWarningMessage(question, { modal: true, detail }, answer)) === answer;
}
