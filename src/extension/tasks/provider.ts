import { basename } from "node:path";
import * as vscode from "vscode";
import { TASK_TYPE } from "../contributions.ts";
import type { ModelFiles } from "../files.ts";
import { type TaskDefinition, isTaskDefinition, toArguments } from "./definition.ts";
import { CommandLineTerminal } from "./terminal.ts";

const PROBLEM_MATCHER = "$tensorrt";

function folderOf(scope: vscode.Task["scope"]): string | undefined {
  if (typeof scope === "object") return scope.uri.fsPath;
  return vscode.workspace.workspaceFolders?.find(({ uri }) => uri.scheme === "file")?.uri.fsPath;
}

/** Runs of the command line as tasks: one for each checkpoint that was found, and whatever tasks.json describes. */
class TaskProvider implements vscode.TaskProvider {
  readonly #script: string;
  readonly #files: ModelFiles;

  constructor(script: string, files: ModelFiles) {
    this.#script = script;
    this.#files = files;
  }

  async provideTasks(): Promise<vscode.Task[]> {
    await this.#files.ready();
    return this.#files.of("checkpoint").flatMap(({ uri }) => {
      const folder = vscode.workspace.getWorkspaceFolder(uri);
      if (!folder) return [];
      const checkpoint = vscode.workspace.asRelativePath(uri, false);
      const definition: TaskDefinition = { type: TASK_TYPE, command: "export", checkpoint };
      return [this.#task(definition, folder, vscode.l10n.t("export {0}", basename(uri.fsPath)))];
    });
  }

  /** Rebuilds a task from its definition alone, as tasks.json and VS Code's list of recent tasks keep it. */
  resolveTask(task: vscode.Task): vscode.Task | undefined {
    const { definition } = task;
    if (!isTaskDefinition(definition)) return undefined;
    return this.#task(definition, task.scope, task.name);
  }

  #task(definition: TaskDefinition, scope: vscode.Task["scope"], name: string): vscode.Task {
    // The definition that arrives at the run has its variables (${workspaceFolder}) replaced.
    const run = (resolved: vscode.TaskDefinition): Promise<vscode.Pseudoterminal> =>
      Promise.resolve(new CommandLineTerminal(this.#script, toArguments(resolved as TaskDefinition), folderOf(scope)));
    const execution = new vscode.CustomExecution(run);
    const task = new vscode.Task(definition, scope ?? vscode.TaskScope.Workspace, name, "TensorRT", execution, PROBLEM_MATCHER);
    task.group = vscode.TaskGroup.Build;
    return task;
  }
}

export function registerTasks(script: string, files: ModelFiles): vscode.Disposable {
  return vscode.tasks.registerTaskProvider(TASK_TYPE, new TaskProvider(script, files));
}
