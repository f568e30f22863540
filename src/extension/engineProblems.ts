import * as vscode from "vscode";
import type { ModelFile, ModelFiles } from "./files.ts";
import type { WorkerHost, WorkerState } from "./worker/host.ts";

/** What is known of an engine. */
interface Answer {
  /** Of the bundle that was asked about; undefined: it is to be asked about again. */
  modified: number | undefined;
  /** False of a question that the worker did not survive, or that it has not answered yet. */
  isAnswered: boolean;
  problem: string | undefined;
}

/** Why engines cannot run on this machine; asked once of each as it is on disk, and again of a new worker. */
export class EngineProblems implements vscode.Disposable {
  readonly #files: ModelFiles;
  readonly #worker: WorkerHost;
  readonly #log: vscode.LogOutputChannel;
  readonly #changed = new vscode.EventEmitter<void>();
  readonly onDidChange = this.#changed.event;
  readonly #subscription: vscode.Disposable;
  /** By path. */
  readonly #known = new Map<string, Answer>();

  constructor(files: ModelFiles, worker: WorkerHost, log: vscode.LogOutputChannel) {
    this.#files = files;
    this.#worker = worker;
    this.#log = log;
    this.#subscription = vscode.Disposable.from(
      this.#changed,
      files.onDidChange((described) => this.#check(described ?? [])),
      worker.onDidChangeState((state) => this.#onWorker(state)),
    );
  }

  of(path: string): string | undefined {
    return this.#known.get(path)?.problem;
  }

  dispose(): void {
    this.#subscription.dispose();
  }

  /** A library may have been installed before the next worker; a question that ended a worker is not put to another. */
  #onWorker(state: WorkerState): void {
    if (state === "idle") this.#check(this.#files.of("engine bundle"));
    if (state !== "stopped") return;
    for (const answer of this.#known.values()) if (answer.isAnswered) answer.modified = undefined;
  }

  #check(described: readonly ModelFile[]): void {
    // Looking for a library runs native code; ONNX Runtime's comes with the extension.
    if (!vscode.workspace.isTrusted) return;
    for (const { uri, modified, summary } of described) {
      const isForLibrary = summary.kind === "engine bundle" && summary.backend !== "onnxruntime";
      const before = this.#known.get(uri.fsPath);
      if (!isForLibrary || before?.modified === modified) continue;
      const answer: Answer = { modified, isAnswered: false, problem: before?.problem };
      this.#known.set(uri.fsPath, answer);
      this.#ask(uri.fsPath, answer).catch((error: unknown) => this.#log.warn(`${uri.fsPath} was not checked: ${String(error)}`));
    }
  }

  async #ask(path: string, answer: Answer): Promise<void> {
    const problem = (await this.#worker.engineProblem(path)) ?? undefined;
    answer.isAnswered = true;
    if (answer.problem === problem) return;
    answer.problem = problem;
    this.#changed.fire();
  }
}
