import { afterEach, expect, test, vi } from "vitest";
import { WebviewServer, type RequestHandlers } from "../../src/extension/webviews/server.ts";
import { WorkerError } from "../../src/extension/worker/connection.ts";
import { HostConnection } from "../../src/webview/shared/host.ts";

interface Echo {
  readonly requests: {
    readonly double: { readonly params: number; readonly result: number; readonly progress: string };
    readonly wait: { readonly params: null; readonly result: null; readonly progress: number };
    readonly refuse: { readonly params: "worker" | "defect"; readonly result: null };
  };
  readonly events: { readonly told: string };
}

/** A webview and its host, joined by messages that are structured clones and come later, as in VS Code. */
function join(handlers: Partial<RequestHandlers<Echo>>) {
  let toHost: (message: unknown) => void = () => {};
  let toWebview: (message: unknown) => void = () => {};
  const sent: unknown[] = [];
  const later = (deliver: (message: unknown) => void, message: unknown) =>
    void Promise.resolve().then(() => deliver(structuredClone(message)));
  const server = new WebviewServer<Echo>(
    {
      postMessage: (message) => {
        later(toWebview, message);
        return Promise.resolve(true);
      },
      onDidReceiveMessage: (listener) => {
        toHost = listener;
        return { dispose: () => (toHost = () => {}) };
      },
    },
    handlers as RequestHandlers<Echo>,
  );
  const connection = new HostConnection<Echo>({
    post: (message) => {
      sent.push(message);
      later((each) => toHost(each), message);
    },
    listen: (listener) => (toWebview = listener),
  });
  return { server, connection, sent, post: (message: unknown) => toHost(message) };
}

afterEach(() => vi.useRealTimers());

test("answers find their request, whatever their order, and progress comes before them", async () => {
  const releases: (() => void)[] = [];
  const { connection } = join({
    double: async (value, { progress }) => {
      progress(`doubling ${value}`);
      await new Promise<void>((resolve) => releases.push(resolve));
      return value * 2;
    },
  });
  const told: string[] = [];
  const first = connection.request("double", 1, { onProgress: (text) => told.push(text) });
  const second = connection.request("double", 2);
  await vi.waitFor(() => expect(releases).toHaveLength(2));
  releases[1]!();
  expect(await second).toBe(4);
  releases[0]!();
  expect(await first).toBe(2);
  expect(told).toEqual(["doubling 1"]);
});

test("a refusal keeps the worker's code, a defect is internal, an unknown method is refused", async () => {
  const { connection } = join({
    refuse: (why) => Promise.reject(why === "worker" ? new WorkerError("file.truncated", "It is cut off.") : new TypeError("oops")),
  });
  await expect(connection.request("refuse", "worker")).rejects.toMatchObject({ code: "file.truncated", message: "It is cut off." });
  await expect(connection.request("refuse", "defect")).rejects.toMatchObject({ code: "internal", message: "oops" });
  await expect(connection.request("toString" as "wait", null)).rejects.toMatchObject({ message: 'There is no request "toString".' });
});

test("messages that are none of the protocol are passed over", async () => {
  const { connection, post } = join({ double: (value) => Promise.resolve(value * 2) });
  for (const message of [null, 3, "request", {}, { type: "request" }, { type: "request", id: "1", method: "double" }, { type: "cancel" }])
    expect(() => post(message)).not.toThrow();
  expect(await connection.request("double", 2)).toBe(4);
});

test("a cancelled request rejects at once, and its handler is told", async () => {
  let cancelled = false;
  const { connection } = join({
    wait: (_, { cancellation }) =>
      new Promise((resolve) => {
        cancellation.onCancellationRequested(() => {
          cancelled = true;
          resolve(null);
        });
      }),
  });
  const controller = new AbortController();
  const request = connection.request("wait", null, { signal: controller.signal });
  controller.abort();
  await expect(request).rejects.toMatchObject({ code: "cancelled" });
  await vi.waitFor(() => expect(cancelled).toBe(true));
});

test("a request that nobody answers times out, and progress puts that off", async () => {
  vi.useFakeTimers();
  let tell: (value: number) => void = () => {};
  const { connection, sent } = join({
    wait: (_, { progress }) => {
      tell = progress;
      return new Promise(() => {});
    },
  });
  const request = connection.request("wait", null, { timeout: 1_000 });
  const outcome = request.catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(900);
  tell(0.5);
  await vi.advanceTimersByTimeAsync(900);
  expect(sent).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(200);
  expect(await outcome).toMatchObject({ code: "timeout" });
  expect(sent[1]).toEqual({ type: "cancel", id: 1 });
});

test("a disposed server cancels what runs and answers no more; events reach their listeners", async () => {
  let cancelled = false;
  const { connection, server } = join({
    wait: (_, { cancellation }) =>
      new Promise(() => {
        cancellation.onCancellationRequested(() => (cancelled = true));
      }),
  });
  const told: string[] = [];
  connection.on("told", (text) => told.push(text));
  server.send("told", "hello");
  const outcome = connection.request("wait", null, { timeout: 50 }).catch((error: unknown) => error);
  await vi.waitFor(() => expect(told).toEqual(["hello"]));
  server.dispose();
  server.send("told", "too late");
  expect(cancelled).toBe(true);
  expect(await outcome).toMatchObject({ code: "timeout" });
  expect(told).toEqual(["hello"]);
});
