import { type CancellationToken, type MessageConnection, ProgressType, ResponseError } from "vscode-jsonrpc/node";
import { UserError, throwIfCancelled } from "../formats/errors.ts";
import { parseBatch } from "../jobs/batch-file.ts";
import type { JobContext } from "../jobs/context.ts";
import { describePrompts } from "../jobs/describe-prompt.ts";
import { describeFile } from "../jobs/describe.ts";
import { checkOptions } from "../jobs/check-options.ts";
import type { EngineCache, LoadedBundle } from "../jobs/engine-cache.ts";
import { Comparisons } from "../jobs/comparison/comparisons.ts";
import { findBase, Inspections } from "../jobs/inspection/inspections.ts";
import { compareOptionsSchema, stackOptionsSchema } from "../jobs/options.ts";
import { readPictureParameters } from "../jobs/picture-parameters.ts";
import { engineProblem } from "../jobs/engine-problem.ts";
import { runJob } from "../jobs/run.ts";
import type {
  ComparisonTarget,
  FailureData,
  FileSummary,
  JobKind,
  JobProgress,
  LoadedEngine,
  Notifications,
  Requests,
} from "./protocol.ts";

export interface ServerOptions {
  /** In an untrusted workspace: headers are read, but nothing that loads native code or writes files runs. */
  readonly restricted: boolean;
}

export interface WorkerServer {
  /** Cancels what runs, waits for it to clean up, and frees the engines. */
  close(): Promise<void>;
}

const JOB_KINDS = [
  "export",
  "delta",
  "generate",
  "grid",
  "bake",
  "extract",
  "resize",
  "mergeLoras",
  "inspect",
  "compare",
  "bench",
  "doctor",
  "installRuntime",
] as const satisfies readonly JobKind[];
/** Files described at the same time: while one is parsed others are read. */
const DESCRIBED_AT_ONCE = 8;
const ALLOWED_WHEN_RESTRICTED: readonly JobKind[] = ["inspect", "compare"];
const REQUEST_FAILED = -32803;

function failureOf({ code, path }: UserError): FailureData {
  return { code, ...(path !== undefined && { path }) };
}

/** A JSON-RPC error that keeps the code and the sentence of an error for users; anything else is "internal". */
function toResponseError(error: unknown): ResponseError<FailureData> {
  if (error instanceof UserError) return new ResponseError(REQUEST_FAILED, error.message, failureOf(error));
  const defect = error instanceof Error ? error : new Error(String(error));
  const data: FailureData = { code: "internal", ...(defect.stack === undefined ? {} : { stack: defect.stack }) };
  return new ResponseError(REQUEST_FAILED, defect.message, data);
}

function toLoadedEngine({ folder, engine, stack }: LoadedBundle): LoadedEngine {
  const memory = engine.memory();
  const { base, merged, gpu } = memory;
  return {
    path: folder,
    backend: engine.backend,
    memoryBytes: base + merged + (gpu ? gpu.plan + gpu.contexts : 0),
    memory,
    stack: stack.items,
  };
}

/** Answers the host's requests on a connection that the caller then listens to. */
export function serve(connection: MessageConnection, engines: EngineCache, { restricted }: ServerOptions): WorkerServer {
  const progressType = new ProgressType<JobProgress>();
  const running = new Map<AbortController, Promise<unknown>>();
  const inspections = new Inspections(engines.arithmetic);
  const comparisons = new Comparisons(inspections, engines.arithmetic);

  function notify<M extends keyof Notifications>(method: M, params: Notifications[M]): void {
    connection.sendNotification(method, params).catch(() => {}); // The host is gone; so is the reader of this.
  }

  function announceEngines(): void {
    notify("engines", { loaded: engines.loaded().map(toLoadedEngine) });
  }

  function contextOf(progressToken: number, signal: AbortSignal): JobContext {
    return {
      signal,
      progress: (progress) => void connection.sendProgress(progressType, progressToken, progress).catch(() => {}),
      log: (level, message) => notify("log", { level, message }),
    };
  }

  /** Runs `body` with a signal that aborts on the request's cancellation and on close. */
  async function track<R>(token: CancellationToken, body: (signal: AbortSignal) => Promise<R>): Promise<R> {
    const controller = new AbortController();
    const subscription = token.onCancellationRequested(() => controller.abort());
    // A token that was cancelled before its request was read tells nobody.
    if (token.isCancellationRequested) controller.abort();
    // Of what throws before it is under way the answer is a refusal all the same.
    const work = Promise.resolve(controller.signal).then(body);
    running.set(controller, work);
    try {
      return await work;
    } catch (error) {
      throw toResponseError(error);
    } finally {
      running.delete(controller);
      subscription.dispose();
    }
  }

  function handle<M extends keyof Requests>(
    method: M,
    body: (params: Requests[M]["params"], signal: AbortSignal) => Promise<Requests[M]["result"]>,
  ): void {
    const answer = (params: Requests[M]["params"], token: CancellationToken): Promise<unknown> =>
      track(token, (signal) => body(params, signal));
    connection.onRequest(method as string, answer);
  }

  function handleJob(kind: JobKind): void {
    handle(`job/${kind}`, async (params, signal) => {
      if (!ALLOWED_WHEN_RESTRICTED.includes(kind)) refuseWhenRestricted(`The job "${kind}"`);
      try {
        return await runJob(kind, params.options, contextOf(params.progressToken, signal), engines);
      } finally {
        announceEngines();
      }
    });
  }

  function refuseWhenRestricted(what: string): void {
    if (!restricted) return;
    throw new UserError("option.invalid", `${what} is off in a workspace that is not trusted. Trust the workspace to use it.`);
  }

  for (const kind of JOB_KINDS) handleJob(kind);

  handle("files/describe", async ({ paths }, signal) => {
    const described = Array<FileSummary>(paths.length);
    const queue = paths.entries();
    const describeNext = async (): Promise<void> => {
      for (const [index, path] of queue) {
        throwIfCancelled(signal);
        described[index] = await describeFile(path);
      }
    };
    await Promise.all(Array.from({ length: DESCRIBED_AT_ONCE }, describeNext));
    return described;
  });

  handle("prompt/describe", ({ engine, prompts }) => describePrompts(engine, prompts));

  handle("batch/check", ({ text }) => Promise.resolve(parseBatch(text).problems));

  handle("picture/parameters", ({ path }) => readPictureParameters(path));

  handle("engine/problem", async ({ path }) => {
    refuseWhenRestricted("Looking for an engine's library");
    return (await engineProblem(path)) ?? null;
  });

  handle("engine/load", async ({ path, backend, base, progressToken }, signal) => {
    refuseWhenRestricted("Loading an engine");
    return toLoadedEngine(await engines.load(path, backend, contextOf(progressToken, signal), base).finally(announceEngines));
  });

  handle("engine/unload", async ({ path }) => {
    await engines.unload(path).finally(announceEngines);
    return null;
  });

  handle("engine/setStack", async ({ path, stack }, signal) => {
    refuseWhenRestricted("Changing an engine's stack");
    const options = checkOptions(stackOptionsSchema, { stack });
    const loaded = engines.find(path);
    if (!loaded) throw new UserError("engine.unusable", `${path} is not loaded. Load the engine first.`);
    return loaded.jobs.run(() => loaded.stack.set(options.stack, signal)).finally(announceEngines);
  });

  handle("inspection/open", (target) => inspections.open(target));
  handle("inspection/statistics", ({ layers, ...target }, signal) => inspections.statistics(target, layers, signal));
  handle("inspection/detail", ({ layer, ...target }, signal) => inspections.detail(target, layer, signal));
  handle("inspection/tile", ({ layer, level, x, y, ...target }) => inspections.tile(target, layer, { level, x, y }));
  handle("inspection/findBase", async ({ fingerprint, candidates }, signal) => (await findBase(fingerprint, candidates, signal)) ?? null);

  const checked = ({ a, b, base, cache }: ComparisonTarget) => ({ ...checkOptions(compareOptionsSchema, { a, b, base }), cache });
  handle("comparison/compare", ({ target, progressToken }, signal) =>
    comparisons.compare(checked(target), contextOf(progressToken, signal)),
  );
  handle("comparison/detail", ({ state, layer, ...target }, signal) => comparisons.detail({ ...checked(target), state, layer }, signal));
  handle("comparison/tile", ({ state, layer, level, x, y, ...target }) =>
    comparisons.tile({ ...checked(target), state, layer }, { level, x, y }),
  );

  return {
    async close() {
      for (const controller of running.keys()) controller.abort();
      await Promise.allSettled(running.values());
      await inspections.closeAll();
      await engines.unloadAll();
    },
  };
}
