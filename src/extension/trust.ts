import * as vscode from "vscode";

/** What was asked for is off in Restricted Mode. */
export class TrustError extends Error {
  override readonly name = "TrustError";
}

/**
 * Throws where the workspace is not trusted: its files are then shown, but no engine is built or run. The worker refuses too.
 * @param what what was asked for, as the start of the sentence
 */
export function requireTrust(what: string): void {
  if (vscode.workspace.isTrusted) return;
  throw new TrustError(vscode.l10n.t("{0} is off in Restricted Mode. Trust this workspace to use it.", what));
}

/** Tells a person, with the way to what they wanted. */
export async function showTrustError(error: TrustError): Promise<void> {
  const manage = vscode.l10n.t("Manage Workspace Trust");
  if ((await vscode.window.showWarningMessage(error.message, manage)) !== manage) return;
  await vscode.commands.executeCommand("workbench.trust.manage");
}
