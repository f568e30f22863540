import * as vscode from "vscode";
import type { ModelFile, ModelFiles } from "./files.ts";
import type { WorkerHost } from "./worker/host.ts";

/** Why engines cannot run on this machine; asked once of each as it is on disk, and again of a new worker. */
export class EngineProblems implements vscode.Disposable {
  readonly #files: ModelFiles;
  readonly #worker: WorkerHost;
  readonly #log: vscode.LogOutputChannel;
  readonly #changed = new vscode.EventEmitter<void>();
  readonly onDidChange = this.#changed.event;
  readonly #subscription: vscode.Disposable;
  /** By path; `modified` is that of the bundle that was asked about. */
  readonly #known = new Map<string, { readonly modified: number; problem?: string }>();

  constructor(files: ModelFiles, worker: WorkerHost, log: vscode.LogOutputChannel) {
    this.#files = files;
    this.#worker = worker;
    this.#log = log;
    this.#subscription = vscode.Disposable.from(
      this.#changed,
      files.onDidChange((described) => this.#check(described ?? [])),
      // A library may have been installed since.
      worker.onDidChangeState((state) => state === "stopped" && this.#known.clear()),
    );
  }

  of(path: string): string | undefined {
    return this.#known.get(path)?.problem;
  }

  dispose(): void {
    this.#subscription.dispose();
  }

  #check(described: readonly ModelFile[]): void {
    // Looking for a library runs native code; ONNX Runtime's comes with the extension.
    if (!vscode.workspace.isTrusted) return;
    for (const { uri, modified, summary } of described) {
      const isForLibrary = summary.kind === "engine bundle" && summary.backend !== "onnxruntime";
      if (!isForLibrary || this.#known.get(uri.fsPath)?.modified === modified) continue;
      this.#known.set(uri.fsPath, { modified });
      this.#ask(uri.fsPath).catch((error: unknown) => this.#log.warn(`${uri.fsPath} was not checked: ${String(error)}`));
    }
  }

  async #ask(path: string): Promise<void> {
    const problem = await this.#worker.engineProblem(path);
    const entry = this.#known.get(path);
    if (!entry || problem === null || !this.#files.get(path)) return;
    entry.problem = problem;
    this.#changed.fire();
  }
}
