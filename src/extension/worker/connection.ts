import { type ChildProcess, fork } from "node:child_process";
import type { CancellationToken, MessageConnection } from "vscode-jsonrpc/node";
import type {
  ComparisonTarget,
  FailureData,
  JobKind,
  JobProgress,
  Jobs,
  LoadedEngine,
  Notifications,
  Requests,
} from "../../worker/protocol.ts";

/** A refused request: the worker's sentence for the user, and its code. */
export class WorkerError extends Error {
  override readonly name = "WorkerError";
  readonly code: FailureData["code"];
  readonly path: string | undefined;

  constructor(code: FailureData["code"], message: string, path?: string) {
    super(message);
    this.code = code;
    this.path = path;
  }
}

/** Why the process ended; `expected` where it was told to. */
export interface WorkerExit {
  readonly expected: boolean;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface WorkerProcess {
  /** Path of dist/worker.js. */
  readonly script: string;
  /** In an untrusted workspace: the worker then refuses what loads native code. */
  readonly restricted: boolean;
  readonly environment: NodeJS.ProcessEnv;
}

export interface WorkerEvents {
  readonly onExit: (exit: WorkerExit) => void;
  readonly onOutput: (line: string) => void;
  readonly onLog: (log: Notifications["log"]) => void;
  readonly onEngines: (engines: Notifications["engines"]) => void;
}

/** Cancellation, as both VS Code and JSON-RPC write it. */
export interface Cancellation {
  readonly isCancellationRequested: boolean;
  readonly onCancellationRequested: (listener: () => void) => { dispose(): void };
}

const STOP_MILLISECONDS = 3_000;
const CANCELLED = -32800;

function failureData(data: unknown): FailureData | undefined {
  return typeof data === "object" && data !== null && "code" in data ? (data as FailureData) : undefined;
}

/** The lines of a stream that ends in the middle of one. */
function forEachLine(stream: NodeJS.ReadableStream | null, listener: (line: string) => void): void {
  let rest = "";
  stream?.setEncoding("utf8");
  stream?.on("data", (text: string) => {
    const lines = (rest + text).split(/\r?\n/);
    rest = lines.pop() ?? "";
    for (const line of lines) listener(line);
  });
  stream?.on("end", () => rest !== "" && listener(rest));
}

/** One worker process and the requests it owes an answer to: all of them settle, at the latest when the process ends. */
export class WorkerConnection {
  readonly #process: ChildProcess;
  readonly #connection: MessageConnection;
  readonly #jsonrpc: typeof import("vscode-jsonrpc/node");
  readonly #progress: InstanceType<typeof import("vscode-jsonrpc/node").ProgressType<JobProgress>>;
  readonly #owed = new Set<(error: WorkerError) => void>();
  #nextToken = 1;
  #stopping = false;
  #ended = false;

  private constructor(child: ChildProcess, jsonrpc: typeof import("vscode-jsonrpc/node"), events: WorkerEvents) {
    this.#process = child;
    this.#jsonrpc = jsonrpc;
    this.#progress = new jsonrpc.ProgressType<JobProgress>();
    this.#connection = jsonrpc.createMessageConnection(new jsonrpc.IPCMessageReader(child), new jsonrpc.IPCMessageWriter(child));
    this.#connection.onNotification("log", events.onLog);
    this.#connection.onNotification("engines", events.onEngines);
    this.#connection.onError(([error]) => events.onLog({ level: "warn", message: error.message }));
    this.#connection.listen();
    forEachLine(child.stdout, events.onOutput);
    forEachLine(child.stderr, events.onOutput);
    const end = (code: number | null, signal: NodeJS.Signals | null): void => {
      if (this.#ended) return;
      this.#ended = true;
      this.#connection.dispose();
      const error = this.#stopping
        ? new WorkerError("cancelled", "Cancelled: the engine worker was stopped.")
        : new WorkerError(
            "worker.died",
            `The engine worker ended unexpectedly (${signal ?? `exit code ${code}`}). Restart it and try again.`,
          );
      for (const refuse of this.#owed) refuse(error);
      this.#owed.clear();
      events.onExit({ expected: this.#stopping, code, signal });
    };
    child.once("exit", end);
    child.once("error", (error) => {
      events.onOutput(`The engine worker could not be started: ${error.message}`);
      end(null, null);
    });
  }

  /**
   * Starts the process; `environment` has to make the executable run as Node.js even where it is Electron.
   */
  static async start({ script, restricted, environment }: WorkerProcess, events: WorkerEvents): Promise<WorkerConnection> {
    const jsonrpc = await import("vscode-jsonrpc/node");
    const child = fork(script, restricted ? ["--restricted"] : [], {
      execPath: process.execPath,
      execArgv: [],
      env: environment,
      silent: true,
    });
    return new WorkerConnection(child, jsonrpc, events);
  }

  get processId(): number | undefined {
    return this.#process.pid;
  }

  /** Asks for a job; `onProgress` is called until the answer comes. */
  runJob<K extends JobKind>(
    kind: K,
    options: Jobs[K]["options"],
    onProgress: (progress: JobProgress) => void,
    cancellation?: Cancellation,
  ): Promise<Jobs[K]["result"]> {
    return this.#withProgress(onProgress, (progressToken) => {
      const params = { options, progressToken } as Requests[`job/${K}`]["params"];
      return this.request<`job/${K}`>(`job/${kind}`, params, cancellation);
    });
  }

  /** Loads an engine, or finds it loaded. */
  loadEngine(
    options: Omit<Requests["engine/load"]["params"], "progressToken">,
    onProgress: (progress: JobProgress) => void,
    cancellation?: Cancellation,
  ): Promise<LoadedEngine> {
    return this.#withProgress(onProgress, (progressToken) => this.request("engine/load", { ...options, progressToken }, cancellation));
  }

  /** Compares files whose layers are to be looked into. */
  compare(
    target: ComparisonTarget,
    onProgress: (progress: JobProgress) => void,
    cancellation?: Cancellation,
  ): Promise<Requests["comparison/compare"]["result"]> {
    return this.#withProgress(onProgress, (progressToken) => this.request("comparison/compare", { target, progressToken }, cancellation));
  }

  /** @throws WorkerError with the worker's code and sentence, "worker.died" where it ended first */
  request<M extends keyof Requests>(method: M, params: Requests[M]["params"], cancellation?: Cancellation): Promise<Requests[M]["result"]> {
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(new WorkerError("worker.died", "The engine worker is not running. Restart it and try again."));
      this.#owed.add(reject);
      // An undefined token would be sent as a second parameter.
      const tokens = cancellation ? [cancellation as CancellationToken] : [];
      this.#connection
        .sendRequest<Requests[M]["result"]>(method as string, params, ...tokens)
        .then(resolve, (error: unknown) => reject(this.#toWorkerError(error)))
        .finally(() => this.#owed.delete(reject));
    });
  }

  /** Ends the process: politely by closing the channel, by force where that takes too long. */
  stop(): Promise<void> {
    this.#stopping = true;
    if (this.#ended) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#process.kill("SIGKILL"), STOP_MILLISECONDS);
      this.#process.once("exit", () => {
        clearTimeout(timer);
        resolve();
      });
      if (this.#process.connected) this.#process.disconnect();
    });
  }

  async #withProgress<R>(onProgress: (progress: JobProgress) => void, ask: (progressToken: number) => Promise<R>): Promise<R> {
    const progressToken = this.#nextToken++;
    const subscription = this.#connection.onProgress(this.#progress, progressToken, onProgress);
    try {
      return await ask(progressToken);
    } finally {
      subscription.dispose();
    }
  }

  #toWorkerError(error: unknown): WorkerError {
    if (error instanceof this.#jsonrpc.ResponseError) {
      if (error.code === CANCELLED) return new WorkerError("cancelled", "Cancelled.");
      const data = failureData(error.data);
      return new WorkerError(data?.code ?? "internal", error.message, data?.path);
    }
    return new WorkerError("internal", error instanceof Error ? error.message : String(error));
  }
}
