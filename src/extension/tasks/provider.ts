import { basename } from "node:path";
import * as vscode from "vscode";
import { TASK_TYPE } from "../contributions.ts";
import type { ModelFiles } from "../files.ts";
import type { ProcessEnvironment } from "../worker/environment.ts";
import { type TaskDefinition, isTaskDefinition, toArguments } from "./definition.ts";
import { CommandLineTerminal } from "./terminal.ts";

const PROBLEM_MATCHER = "$tensorrt";

function folderOf(scope: vscode.Task["scope"]): string | undefined {
  if (typeof scope === "object") return scope.uri.fsPath;
  return vscode.workspace.workspaceFolders?.find(({ uri }) => uri.scheme === "file")?.uri.fsPath;
}

/** Files of jobs that keep their results beside them. */
const BATCH_FILES = "**/*.tensorrt.jsonl";
const EXCLUDED = "**/{node_modules,.git}/**";

/** Runs of the command line as tasks: one for each checkpoint and batch file that was found, and whatever tasks.json describes. */
export class TaskProvider implements vscode.TaskProvider {
  readonly #script: string;
  readonly #environment: ProcessEnvironment;
  readonly #files: ModelFiles;

  constructor(script: string, environment: ProcessEnvironment, files: ModelFiles) {
    this.#script = script;
    this.#environment = environment;
    this.#files = files;
  }

  async provideTasks(): Promise<vscode.Task[]> {
    const [batches] = await Promise.all([vscode.workspace.findFiles(BATCH_FILES, EXCLUDED), this.#files.ready()]);
    return [...batches.flatMap((uri) => this.batch(uri) ?? []), ...this.#exports()];
  }

  /** The run of a batch file, where it lies in the workspace. */
  batch(uri: vscode.Uri): vscode.Task | undefined {
    const folder = vscode.workspace.getWorkspaceFolder(uri);
    if (!folder) return undefined;
    const definition: TaskDefinition = { type: TASK_TYPE, command: "generate", jobs: vscode.workspace.asRelativePath(uri, false) };
    return this.#task(definition, folder, vscode.l10n.t("run {0}", basename(uri.fsPath)));
  }

  #exports(): vscode.Task[] {
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
      Promise.resolve(new CommandLineTerminal(this.#script, toArguments(resolved as TaskDefinition), this.#environment(), folderOf(scope)));
    const execution = new vscode.CustomExecution(run);
    const task = new vscode.Task(definition, scope ?? vscode.TaskScope.Workspace, name, "TensorRT", execution, PROBLEM_MATCHER);
    task.group = vscode.TaskGroup.Build;
    return task;
  }
}
