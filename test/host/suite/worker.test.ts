import assert from "node:assert/strict";
import * as vscode from "vscode";
import type { Jobs } from "../../../src/worker/protocol.ts";
import { demoEngine, inWorkspace, withMessages } from "../harness/inside.ts";
import { findWorkers, until } from "../harness/processes.ts";
import { test } from "../harness/runner.ts";

function generate(options: object): Thenable<Jobs["generate"]["result"]> {
  return vscode.commands.executeCommand("tensorrt.generateImage", { seed: 1, prompt: "a cat face", ...options });
}

/** Waits for the worker to be busy with a job that would take minutes. */
async function startLongJob(engine: string, output: string): Promise<{ readonly job: Promise<unknown>; readonly worker: number }> {
  const job = Promise.resolve(generate({ engine, steps: 5_000, output }));
  // Handled by the test, but later than it may reject.
  job.catch(() => {});
  const worker = await until("a worker", () => findWorkers(process.pid)[0]);
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  return { job, worker: worker.id };
}

test("a worker that is killed in the middle of a job: one message, the host unharmed, the next job works", async () => {
  const { bundle } = await demoEngine();
  const { messages } = await withMessages(async () => {
    const { job, worker } = await startLongJob(bundle, inWorkspace("killed.png"));
    const waiting = assert.rejects(job, /ended unexpectedly \(SIGKILL\)/);
    process.kill(worker, "SIGKILL");
    await waiting;
    await until("another worker", () => findWorkers(process.pid).find(({ id }) => id !== worker));
    const { images } = await generate({ engine: bundle, steps: 1, output: inWorkspace("after.png") });
    assert.equal(images.length, 1);
  }, "Restart");
  assert.equal(messages.length, 1, messages.join("\n"));
  assert.match(messages[0]!, /The engine worker ended unexpectedly \(SIGKILL\)/);
});

test("restarting the worker on purpose cancels its job and shows no message", async () => {
  const { bundle } = await demoEngine();
  const { messages } = await withMessages(async () => {
    const { job, worker } = await startLongJob(bundle, inWorkspace("restarted.png"));
    const waiting = assert.rejects(job, /Cancelled/);
    await vscode.commands.executeCommand("tensorrt.restartWorker");
    await waiting;
    const workers = findWorkers(process.pid).map(({ id }) => id);
    assert.equal(workers.length, 1);
    assert.notEqual(workers[0], worker);
  });
  assert.deepEqual(messages, []);
});
