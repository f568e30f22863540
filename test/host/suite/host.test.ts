import assert from "node:assert/strict";
import { join } from "node:path";
import { WorkerHost, type WorkerState } from "../../../src/extension/worker/host.ts";
import { extension, silentLog } from "../harness/inside.ts";
import { findWorkers } from "../harness/processes.ts";
import { test } from "../harness/runner.ts";

/** A worker of the test's own; `environment` is asked for at each start. */
async function withHost(
  environment: () => NodeJS.ProcessEnv,
  body: (host: WorkerHost, states: WorkerState[]) => Promise<void>,
): Promise<void> {
  const host = new WorkerHost(join(extension().extensionPath, "dist", "worker.js"), environment, silentLog());
  const states: WorkerState[] = [];
  host.onDidChangeState((state) => states.push(state));
  try {
    await body(host, states);
  } finally {
    await host.stop();
    host.dispose();
  }
}

const environment = (): NodeJS.ProcessEnv => ({ ...process.env, ELECTRON_RUN_AS_NODE: "1" });

test("a worker that could not be started is started by the next request", async () => {
  let isBroken = true;
  const once = (): NodeJS.ProcessEnv => {
    if (isBroken) throw new Error("no environment");
    return environment();
  };
  await withHost(once, async (host, states) => {
    await assert.rejects(host.describe([]), /no environment/);
    assert.equal(host.state, "stopped");
    isBroken = false;
    assert.deepEqual(await host.describe([]), []);
    assert.deepEqual(states, ["idle", "stopped", "idle"]);
  });
});

test("a request while the worker is being stopped has another one, which is not said to be stopped", async () => {
  await withHost(environment, async (host) => {
    await host.describe([]);
    const stopped = host.stop();
    assert.deepEqual(await host.describe([]), []);
    await stopped;
    assert.equal(host.state, "idle");
  });
});

test("who is told that a worker starts may ask it at once, and it is the same one", async () => {
  await withHost(environment, async (host) => {
    const before = findWorkers(process.pid).length;
    const asked: Promise<unknown>[] = [];
    host.onDidChangeState((state) => void (state === "idle" && asked.push(host.describe([]))));
    await host.describe([]);
    await Promise.all(asked);
    assert.deepEqual([asked.length, findWorkers(process.pid).length], [1, before + 1]);
  });
});
