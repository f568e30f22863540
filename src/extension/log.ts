import * as vscode from "vscode";
import { TrustError, showTrustError } from "./trust.ts";
import { WorkerError } from "./worker/connection.ts";

/** The one log channel. */
export function createLog(): vscode.LogOutputChannel {
  return vscode.window.createOutputChannel("TensorRT", { log: true });
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
  const showLog = vscode.l10n.t("Show Log");
  if ((await vscode.window.showErrorMessage(message, showLog)) === showLog) log.show();
}
