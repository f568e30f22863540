import { join } from "node:path";
import * as vscode from "vscode";
import { setting } from "../contributions.ts";
import type { WorkerHost } from "./host.ts";

/** What the environment of a started process is made of. */
export type ProcessEnvironment = () => NodeJS.ProcessEnv;

/** The interpreter that the Python extension has selected, where that is running; nothing is activated for it. */
function selectedPython(): string | undefined {
  interface PythonExtension {
    readonly environments?: { getActiveEnvironmentPath(): { readonly path: string } };
  }
  const python = vscode.extensions.getExtension<PythonExtension>("ms-python.python");
  return python?.isActive ? python.exports.environments?.getActiveEnvironmentPath().path : undefined;
}

/**
 * How the worker and the tasks' processes are told where to look for libraries: as Node.js even where the executable is Electron, with
 * the environment variables that the command line knows too.
 * @param storage the extension's own folder on this machine
 */
export function processEnvironment(storage: vscode.Uri): ProcessEnvironment {
  return () => {
    const libraries = setting("libraryPath");
    const python = setting("pythonPath") || selectedPython();
    return {
      ...process.env,
      ELECTRON_RUN_AS_NODE: "1",
      TENSORRT_REDUX_RUNTIME: join(storage.fsPath, "runtime"),
      ...(libraries !== "" && { TENSORRT_REDUX_LIBRARIES: libraries }),
      ...(python && { TENSORRT_REDUX_PYTHON: python }),
    };
  };
}

/** A worker has looked for its libraries once: where other places are named, another one is started. */
export function restartOnOtherPlaces(worker: WorkerHost): vscode.Disposable {
  return vscode.workspace.onDidChangeConfiguration(async (event) => {
    if (!event.affectsConfiguration("tensorrt.libraryPath") && !event.affectsConfiguration("tensorrt.pythonPath")) return;
    if (worker.state === "stopped") return;
    if (worker.state !== "busy" && worker.loadedEngines.length === 0) return worker.stop();
    const restart = vscode.l10n.t("Restart Engine Worker");
    const message = vscode.l10n.t("The engine worker looks in the new places once it is restarted; engines in memory are then freed.");
    if ((await vscode.window.showInformationMessage(message, restart)) === restart) await worker.restart();
  });
}
