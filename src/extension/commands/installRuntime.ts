import * as vscode from "vscode";
import type { Commands, InstallRuntimeArguments } from "../contributions.ts";
import { isOptions } from "./arguments.ts";
import type { Services } from "./services.ts";

/** TensorRT-RTX into the extension's own folder on this machine. */
export function installRuntime({ jobs }: Services): Commands["tensorrt.installRuntime"] {
  return async (argument) => {
    if (isOptions<InstallRuntimeArguments>(argument, "python")) return jobs.run("installRuntime", argument);
    return jobs.interactively(async () => {
      const result = await jobs.runInNotification("installRuntime", {});
      void vscode.window.showInformationMessage(
        result.cached
          ? vscode.l10n.t("TensorRT-RTX {0} is installed already.", result.version)
          : vscode.l10n.t("TensorRT-RTX {0} is installed. The doctor says whether this machine can run it.", result.version),
      );
      return result;
    });
  };
}
