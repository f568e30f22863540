import { basename } from "node:path";
import * as vscode from "vscode";
import type { Commands } from "../contributions.ts";
import type { TaskProvider } from "../tasks/provider.ts";
import { requireTrust } from "../trust.ts";
import { selectedPath } from "./arguments.ts";
import type { Services } from "./services.ts";

/** Runs a batch file (`*.tensorrt.jsonl`) as a task: the one selected, else the one in the editor. */
export function runBatch({ jobs }: Services, tasks: TaskProvider): Commands["tensorrt.runBatch"] {
  return (argument) =>
    jobs.interactively(async () => {
      requireTrust(vscode.l10n.t("Running a batch file"));
      const path = selectedPath(argument) ?? vscode.window.activeTextEditor?.document.uri.fsPath;
      if (path?.endsWith(".tensorrt.jsonl") !== true)
        throw new Error(vscode.l10n.t("Open a batch file first: its name ends in .tensorrt.jsonl."));
      const open = vscode.workspace.textDocuments.find(({ uri }) => uri.fsPath === path);
      if (open?.isDirty === true && !(await open.save()))
        throw new Error(vscode.l10n.t("{0} could not be saved, so it was not run.", basename(path)));
      const task = tasks.batch(vscode.Uri.file(path));
      if (!task) throw new Error(vscode.l10n.t("{0} lies outside of the workspace. Open its folder to run it.", path));
      await vscode.tasks.executeTask(task);
    });
}
