import * as vscode from "vscode";
import { WorkerError } from "./worker/connection.ts";

/**
 * Throws where the workspace is not trusted: its files are then shown, but no engine is built or run. The worker refuses too.
 * @param what what was asked for, as the start of the sentence
 */
export function requireTrust(what: string): void {
  if (vscode.workspace.isTrusted) return;
  throw new WorkerError("option.invalid", vscode.l10n.t("{0} is off in Restricted Mode. Trust this workspace to use it.", what));
}
