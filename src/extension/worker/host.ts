import * as vscode from "vscode";
import type {
  AppliedStack,
  BatchProblem,
  ComparisonTarget,
  FileSummary,
  InspectionMethod,
  JobKind,
  JobProgress,
  Jobs,
  LoadedEngine,
  PictureParameters,
  PromptDescription,
  Requests,
  StackItem,
} from "../../worker/protocol.ts";
import type { Settings } from "../contributions.ts";
import type { ProcessEnvironment } from "./environment.ts";
import { type Cancellation, WorkerConnection, type WorkerExit } from "./connection.ts";
import { localizedProgress } from "./progress.ts";

export type WorkerState = "stopped" | "idle" | "busy" | "crashed";

/**
 * The worker as the extension sees it: started at the first request, started again after a crash, and the one place that tells
 * a person about a crash.
 */
export class WorkerHost implements vscode.Disposable {
  readonly #script: string;
  readonly #environment: ProcessEnvironment;
  readonly #log: vscode.LogOutputChannel;
  readonly #stateChanged = new vscode.EventEmitter<WorkerState>();
  readonly #enginesChanged = new vscode.EventEmitter<readonly LoadedEngine[]>();
  readonly onDidChangeState = this.#stateChanged.event;
  readonly onDidChangeEngines = this.#enginesChanged.event;
  #connection: Promise<WorkerConnection> | undefined;
  #loaded: readonly LoadedEngine[] = [];
  #jobs = 0;
  #state: WorkerState = "stopped";
  #disposed = false;

  constructor(script: string, environment: ProcessEnvironment, log: vscode.LogOutputChannel) {
    this.#script = script;
    this.#environment = environment;
    this.#log = log;
  }

  get state(): WorkerState {
    return this.#state;
  }

  get loadedEngines(): readonly LoadedEngine[] {
    return this.#loaded;
  }

  async runJob<K extends JobKind>(
    kind: K,
    options: Jobs[K]["options"],
    onProgress: (progress: JobProgress) => void,
    cancellation?: Cancellation,
  ): Promise<Jobs[K]["result"]> {
    const connection = await this.#connect();
    const report = (progress: JobProgress): void => onProgress(localizedProgress(progress));
    return this.#busyWhile(() => connection.runJob(kind, options, report, cancellation));
  }

  async loadEngine(
    path: string,
    { backend, base }: { readonly backend: Settings["backend"]; readonly base: Settings["load.base"] },
    onProgress: (progress: JobProgress) => void,
    cancellation?: Cancellation,
  ): Promise<LoadedEngine> {
    const connection = await this.#connect();
    const report = (progress: JobProgress): void => onProgress(localizedProgress(progress));
    return this.#busyWhile(() => connection.loadEngine({ path, backend, base }, report, cancellation));
  }

  /** Compares files whose layers are to be looked into. */
  async compare(
    target: ComparisonTarget,
    onProgress: (progress: JobProgress) => void,
    cancellation?: Cancellation,
  ): Promise<Requests["comparison/compare"]["result"]> {
    const connection = await this.#connect();
    return this.#busyWhile(() => connection.compare(target, onProgress, cancellation));
  }

  async unloadEngine(path: string): Promise<void> {
    // Nothing is loaded where nothing runs.
    if (!this.#connection) return;
    await (await this.#connection).request("engine/unload", { path });
  }

  /** Changes the weights of an engine that is loaded. */
  async setStack(path: string, stack: readonly StackItem[], cancellation?: Cancellation): Promise<AppliedStack> {
    const connection = await this.#connect();
    return this.#busyWhile(() => connection.request("engine/setStack", { path, stack }, cancellation));
  }

  /** Why an engine cannot run on this machine; null where nothing speaks against it. */
  async engineProblem(path: string): Promise<string | null> {
    return (await this.#connect()).request("engine/problem", { path });
  }

  /** How an engine reads prompts; loads nothing. */
  async describePrompts(engine: string, prompts: readonly string[]): Promise<readonly PromptDescription[]> {
    return (await this.#connect()).request("prompt/describe", { engine, prompts });
  }

  /** What a PNG file says that it was made with. */
  async pictureParameters(path: string): Promise<PictureParameters> {
    return (await this.#connect()).request("picture/parameters", { path });
  }

  /** What the files' headers say. */
  async describe(paths: readonly string[]): Promise<readonly FileSummary[]> {
    return (await this.#connect()).request("files/describe", { paths });
  }

  /** Looks inside a file. */
  async request<M extends InspectionMethod>(
    method: M,
    params: Requests[M]["params"],
    cancellation?: Cancellation,
  ): Promise<Requests[M]["result"]> {
    return (await this.#connect()).request(method, params, cancellation);
  }

  /** What is wrong with the lines of a batch file. */
  async checkBatch(text: string): Promise<readonly BatchProblem[]> {
    return (await this.#connect()).request("batch/check", { text });
  }

  /** Ends the process; the next request starts another. */
  async stop(): Promise<void> {
    const connection = this.#connection;
    this.#connection = undefined;
    this.#setLoaded([]);
    await connection?.then(
      (running) => running.stop(),
      () => {},
    );
    // Another one may have been started meanwhile.
    if (!this.#connection) this.#setState("stopped");
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.#connect();
  }

  dispose(): void {
    this.#disposed = true;
    void this.stop();
    this.#stateChanged.dispose();
    this.#enginesChanged.dispose();
  }

  #connect(): Promise<WorkerConnection> {
    if (this.#disposed) return Promise.reject(new Error("The extension is shutting down."));
    if (this.#connection) return this.#connection;
    const starting = this.#start();
    this.#connection = starting;
    this.#setState("idle");
    starting.catch(() => {
      if (this.#connection !== starting) return;
      // The next request tries again.
      this.#connection = undefined;
      this.#setState("stopped");
    });
    return starting;
  }

  async #start(): Promise<WorkerConnection> {
    const restricted = !vscode.workspace.isTrusted;
    const connection = await WorkerConnection.start(
      { script: this.#script, restricted, environment: this.#environment() },
      {
        onExit: (exit) => this.#onExit(exit),
        onOutput: (line) => this.#log.info(`[worker] ${line}`),
        onLog: ({ level, message }) => this.#log[level](message),
        onEngines: ({ loaded }) => this.#setLoaded(loaded),
      },
    );
    this.#log.info(`The engine worker runs as process ${connection.processId}${restricted ? ", restricted" : ""}.`);
    return connection;
  }

  #onExit({ expected, code, signal }: WorkerExit): void {
    this.#log[expected ? "info" : "error"](`The engine worker ended (${signal ?? `exit code ${code}`}).`);
    if (expected) return;
    this.#connection = undefined;
    this.#setLoaded([]);
    this.#setState("crashed");
    void this.#offerRestart(signal ?? vscode.l10n.t("exit code {0}", String(code)));
  }

  async #offerRestart(reason: string): Promise<void> {
    const restart = vscode.l10n.t("Restart");
    const showLog = vscode.l10n.t("Show Log");
    const message = vscode.l10n.t("The engine worker ended unexpectedly ({0}). Nothing else is affected.", reason);
    const answer = await vscode.window.showErrorMessage(message, restart, showLog);
    if (answer === showLog) this.#log.show();
    if (answer === restart && !this.#connection) await this.restart().catch((error: unknown) => this.#log.error(String(error)));
  }

  async #busyWhile<R>(work: () => Promise<R>): Promise<R> {
    this.#jobs++;
    this.#setState("busy");
    try {
      return await work();
    } finally {
      this.#jobs--;
      if (this.#jobs === 0 && this.#state === "busy") this.#setState("idle");
    }
  }

  #setState(state: WorkerState): void {
    if (this.#disposed || state === this.#state) return;
    this.#state = state;
    this.#stateChanged.fire(state);
  }

  #setLoaded(loaded: readonly LoadedEngine[]): void {
    if (this.#disposed || (loaded.length === 0 && this.#loaded.length === 0)) return;
    this.#loaded = loaded;
    this.#enginesChanged.fire(loaded);
  }
}
