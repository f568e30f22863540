import * as vscode from "vscode";
import { TrustError, showTrustError } from "./trust.ts";
import { WorkerError } from "./worker/connection.ts";

/** The one log channel. */
export function createLog(): vscode.LogOutputChannel {
  return vscode.window.createOutputChannel("TensorRT", { log: true });
}

/** Says that something is ready; where there are doubts, the first of them, with a way to the log, which has them all. */
export async function showReady(ready: string, doubts: readonly string[], log: vscode.LogOutputChannel): Promise<void> {
  const [first] = doubts;
  if (first === undefined) {
    await vscode.window.showInformationMessage(ready);
    return;
  }
  const showLog = vscode.l10n.t("Show Log");
  if ((await vscode.window.showWarningMessage(`${ready} ${sentence(first)}`, showLog)) === showLog) log.show();
}

/** Warnings begin in lower case and end without a full stop, as the command line prints them. */
function sentence(warning: string): string {
  return `${warning.charAt(0).toUpperCase()}${warning.slice(1)}${/[.!?]$/.test(warning) ? "" : "."}`;
}

/**
 * Tells a person why something they started did not work: one message, never the log by itself. A cancellation needs none, and
 * the end of the worker has its own.
 */
export async function showFailure(error: unknown, log: vscode.LogOutputChannel): Promise<void> {
  if (error instanceof TrustError) return showTrustError(error);
  const message = error instanceof Error ? error.message : String(error);
  log.error(error instanceof Error && !(error instanceof WorkerError) ? (error.stack ?? message) : message);
  if (error instanceof WorkerError && (error.code === "cancelled" || error.code === "worker.died")) return;
  if (error instanceof WorkerError && error.code === "bundle.mismatch" && error.path !== undefined)
    return offerRebuild(message, error.path);
  const showLog = vscode.l10n.t("Show Log");
  if ((await vscode.window.showErrorMessage(message, showLog)) === showLog) log.show();
}

/** An engine of another machine or version: what helps is to build it again. */
async function offerRebuild(message: string, engine: string): Promise<void> {
  const rebuild = vscode.l10n.t("Build Again");
  if ((await vscode.window.showErrorMessage(message, rebuild)) !== rebuild) return;
  await vscode.commands.executeCommand("tensorrt.rebuildEngine", vscode.Uri.file(engine));
}
