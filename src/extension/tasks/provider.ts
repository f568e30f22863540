import { basename } from "node:path";
import * as vscode from "vscode";
import type { ModelFiles } from "../files.ts";
import type { Stacks } from "../stack/stacks.ts";
import type { ProcessEnvironment } from "../worker/environment.ts";
import { TASK_TYPE, type TaskDefinition, isTaskDefinition, toArguments } from "./definition.ts";
import { type DetectedTask, detectTasks } from "./detect.ts";
import { CommandLineTerminal, endedTerminal } from "./terminal.ts";

const PROBLEM_MATCHER = "$tensorrt";
/** Exit code of the command line where it was cancelled. */
const CANCELLED = 130;

function folderOf(scope: vscode.Task["scope"]): string | undefined {
  if (typeof scope === "object") return scope.uri.fsPath;
  return vscode.workspace.workspaceFolders?.find(({ uri }) => uri.scheme === "file")?.uri.fsPath;
}

/** Files of jobs that keep their results beside them. */
const BATCH_FILES = "**/*.tensorrt.jsonl";
const MOST_BATCH_FILES = 200;
const EXCLUDED = "**/{node_modules,.git}/**";
/** A person waits for the list of tasks: what is not described by then is in the next one. */
const PATIENCE_MILLISECONDS = 2_000;

/** Runs of the command line as tasks: what the workspace is ready for, and whatever tasks.json describes. */
export class TaskProvider implements vscode.TaskProvider {
  readonly #script: string;
  readonly #environment: ProcessEnvironment;
  readonly #files: ModelFiles;
  readonly #stacks: Stacks;

  constructor(script: string, environment: ProcessEnvironment, files: ModelFiles, stacks: Stacks) {
    this.#script = script;
    this.#environment = environment;
    this.#files = files;
    this.#stacks = stacks;
  }

  async provideTasks(token: vscode.CancellationToken): Promise<vscode.Task[]> {
    const described = Promise.race([this.#files.settled(), new Promise((resolve) => setTimeout(resolve, PATIENCE_MILLISECONDS))]);
    const batches = vscode.workspace.findFiles(BATCH_FILES, EXCLUDED, MOST_BATCH_FILES, token);
    await Promise.all([batches, described]);
    const folders = (vscode.workspace.workspaceFolders ?? []).filter(({ uri }) => uri.scheme === "file");
    const detected = detectTasks({
      folders: folders.map(({ uri }) => uri.fsPath),
      files: this.#files.all,
      stackOf: (engine) => this.#stacks.of(engine),
    });
    const tasks = detected.map((task) =>
      this.#task(
        task.definition,
        folders.find(({ uri }) => uri.fsPath === task.folder),
        titleOf(task),
      ),
    );
    return [...(await batches).flatMap((uri) => this.batch(uri) ?? []), ...tasks];
  }

  /** The run of a batch file, where it lies in the workspace. */
  batch(uri: vscode.Uri): vscode.Task | undefined {
    const folder = vscode.workspace.getWorkspaceFolder(uri);
    if (!folder) return undefined;
    const definition: TaskDefinition = { type: TASK_TYPE, command: "generate", jobs: vscode.workspace.asRelativePath(uri, false) };
    return this.#task(definition, folder, vscode.l10n.t("run {0}", basename(uri.fsPath)));
  }

  /** Rebuilds a task from its definition alone, as tasks.json and VS Code's list of recent tasks keep it. */
  resolveTask(task: vscode.Task): vscode.Task | undefined {
    const { definition } = task;
    if (!isTaskDefinition(definition)) return undefined;
    return this.#task(definition, task.scope, task.name);
  }

  #task(definition: TaskDefinition, scope: vscode.Task["scope"], name: string): vscode.Task {
    // The definition that arrives at the run has its variables (${workspaceFolder}) replaced.
    const run = async (resolved: vscode.TaskDefinition): Promise<vscode.Pseudoterminal> => {
      const complete = await withPrompt(resolved as TaskDefinition, name);
      if (!complete) return endedTerminal(CANCELLED);
      return new CommandLineTerminal(this.#script, toArguments(complete), this.#environment(), folderOf(scope));
    };
    const execution = new vscode.CustomExecution(run);
    const task = new vscode.Task(definition, scope ?? vscode.TaskScope.Workspace, name, "TensorRT", execution, PROBLEM_MATCHER);
    task.group = vscode.TaskGroup.Build;
    return task;
  }
}

function titleOf({ kind, names: [first = "", second = ""] }: DetectedTask): string {
  switch (kind) {
    case "export":
      return vscode.l10n.t("export {0}", first);
    case "delta":
      return vscode.l10n.t("delta of {0} for {1}", first, second);
    case "generate":
      return vscode.l10n.t("generate with {0}", first);
    case "bench":
      return vscode.l10n.t("bench {0}", first);
    case "bake":
      return vscode.l10n.t("bake the stack of {0}", first);
    case "merge-loras":
      return vscode.l10n.t("merge the stack of {0}", first);
  }
}

/** Asks for the prompt of a picture where the definition has none; undefined where the person turns away. */
async function withPrompt(definition: TaskDefinition, title: string): Promise<TaskDefinition | undefined> {
  const { command, jobs, prompt: given } = definition;
  if ((command !== "generate" && command !== "grid") || jobs !== undefined || given !== undefined) return definition;
  const prompt = await vscode.window.showInputBox({
    title,
    prompt: vscode.l10n.t("The prompt: what the picture shows"),
    ignoreFocusOut: true,
  });
  return prompt === undefined ? undefined : { ...definition, prompt };
}
