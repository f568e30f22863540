import * as vscode from "vscode";
import { BATCH_LANGUAGE } from "../contributions.ts";
import type { WorkerHost } from "../worker/host.ts";
import { spanOf } from "./options.ts";

/** Typing comes in bursts: one check after they end. */
const QUIET_MILLISECONDS = 300;

/**
 * Marks what is wrong in open batch files, saved or not. VS Code's own JSON support does not look into files of JSON lines; the worker
 * checks each line with the schema that a run would.
 */
export class BatchDiagnostics implements vscode.Disposable {
  readonly #worker: WorkerHost;
  readonly #log: vscode.LogOutputChannel;
  readonly #problems = vscode.languages.createDiagnosticCollection(BATCH_LANGUAGE);
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #subscriptions: vscode.Disposable[];

  constructor(worker: WorkerHost, log: vscode.LogOutputChannel) {
    this.#worker = worker;
    this.#log = log;
    const { workspace } = vscode;
    this.#subscriptions = [
      this.#problems,
      workspace.onDidOpenTextDocument((document) => this.#schedule(document, 0)),
      workspace.onDidChangeTextDocument(({ document }) => this.#schedule(document, QUIET_MILLISECONDS)),
      workspace.onDidCloseTextDocument(({ uri }) => this.#forget(uri)),
    ];
    for (const document of workspace.textDocuments) this.#schedule(document, 0);
  }

  dispose(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    for (const subscription of this.#subscriptions) subscription.dispose();
  }

  #schedule(document: vscode.TextDocument, milliseconds: number): void {
    if (document.languageId !== BATCH_LANGUAGE) return;
    const key = document.uri.toString();
    clearTimeout(this.#timers.get(key));
    const check = (): void =>
      void this.#check(document).catch((error: unknown) => this.#log.warn(`${document.uri.fsPath} was not checked: ${String(error)}`));
    this.#timers.set(key, setTimeout(check, milliseconds));
  }

  #forget(uri: vscode.Uri): void {
    clearTimeout(this.#timers.get(uri.toString()));
    this.#timers.delete(uri.toString());
    this.#problems.delete(uri);
  }

  async #check(document: vscode.TextDocument): Promise<void> {
    const { version } = document;
    const problems = await this.#worker.checkBatch(document.getText());
    // Another check is on its way where the text has changed meanwhile.
    if (document.isClosed || document.version !== version) return;
    const diagnostics = problems.map((problem) => {
      const line = problem.line - 1;
      const { start, end } = spanOf(problem, document.lineAt(line).text);
      // What is left out here may come from the task.
      const severity = problem.missing ? vscode.DiagnosticSeverity.Information : vscode.DiagnosticSeverity.Error;
      const diagnostic = new vscode.Diagnostic(new vscode.Range(line, start, line, end), problem.message, severity);
      diagnostic.source = "TensorRT";
      diagnostic.code = "option.invalid";
      return diagnostic;
    });
    this.#problems.set(document.uri, diagnostics);
  }
}
