import * as vscode from "vscode";
import { BATCH_LANGUAGE } from "../contributions.ts";
import type { ModelFiles } from "../files.ts";
import { TASK_TYPE } from "../tasks/definition.ts";
import type { WorkerHost } from "../worker/host.ts";
import { BatchCompletion } from "./completion.ts";
import { BatchDiagnostics } from "./diagnostics.ts";

interface Manifest {
  readonly contributes: {
    readonly taskDefinitions: readonly {
      readonly type: string;
      readonly properties: Readonly<Record<string, { readonly description: string }>>;
    }[];
  };
}

/** What package.json says of the tasks' options, in the person's language: the lines of batch files have the same. */
function descriptionsOf(manifest: Manifest): Readonly<Record<string, string>> {
  const { properties = {} } = manifest.contributes.taskDefinitions.find(({ type }) => type === TASK_TYPE) ?? {};
  return Object.fromEntries(Object.entries(properties).map(([name, { description }]) => [name, description]));
}

/** Completion and checks of batch files (`*.tensorrt.jsonl`). */
export function registerBatchLanguage(
  manifest: object,
  files: ModelFiles,
  worker: WorkerHost,
  log: vscode.LogOutputChannel,
): vscode.Disposable {
  const completion = new BatchCompletion(files, descriptionsOf(manifest as Manifest));
  return vscode.Disposable.from(
    vscode.languages.registerCompletionItemProvider(BATCH_LANGUAGE, completion, '"', ":", " "),
    new BatchDiagnostics(worker, log),
  );
}
