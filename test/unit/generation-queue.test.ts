import { expect, test } from "vitest";
import { KeptJobs } from "../../src/extension/generation/kept-jobs.ts";
import { JobQueue, type QueueJob, type Queued } from "../../src/extension/generation/queue.ts";
import { type Cancellation, WorkerError } from "../../src/extension/worker/connection.ts";
import type { JobProgress } from "../../src/worker/protocol.ts";
import { memento } from "./memento.ts";

const job = (title: string): QueueJob => ({ title, seed: "1", pictures: 1 });

/** A queue whose jobs end when the test says so. */
function start(kept: readonly Queued<QueueJob>[] = []) {
  let saved: readonly Queued<QueueJob>[] = [];
  const running: {
    title: string;
    resolve: () => void;
    reject: (error: Error) => void;
    cancellation: Cancellation;
    progress: (p: JobProgress) => void;
  }[] = [];
  const told: string[] = [];
  const queue = new JobQueue<QueueJob>({
    run: ({ job: { title } }, progress, cancellation) =>
      new Promise((resolve, reject) => {
        cancellation.onCancellationRequested(() => reject(new WorkerError("cancelled", "Cancelled.")));
        running.push({ title, resolve, reject, cancellation, progress });
      }),
    onChange: (jobs) => (saved = jobs),
    onProgress: (_id, { stage }) => told.push(stage),
  });
  queue.adopt(kept);
  return { queue, running, told, titles: () => saved.map((queued) => queued.job.title) };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const shape = ({ queue }: ReturnType<typeof start>) => [
  queue.view.running?.title,
  queue.view.waiting.map(({ title }) => title),
  queue.view.paused,
];

test("jobs run one after the other, and are kept until they have ended", async () => {
  const all = start();
  for (const title of ["a", "b", "c"]) all.queue.add(job(title));
  expect(shape(all)).toEqual(["a", ["b", "c"], undefined]);
  expect(all.titles()).toEqual(["a", "b", "c"]);
  all.running[0]!.resolve();
  await settled();
  expect(shape(all)).toEqual(["b", ["c"], undefined]);
  expect(all.titles()).toEqual(["b", "c"]);
});

test("progress is that of the running job; a stage without a preview keeps the last", () => {
  const all = start();
  all.queue.add(job("a"));
  const preview = { width: 1, height: 1, data: "" };
  all.running[0]!.progress({ stage: "sampling", preview });
  all.running[0]!.progress({ stage: "decoding" });
  expect(all.told).toEqual(["sampling", "decoding"]);
  expect(all.queue.view.running?.progress).toEqual({ stage: "decoding", preview });
});

test("a running job is cancelled, a waiting one taken out", async () => {
  const all = start();
  const [a, b] = ["a", "b", "c"].map((title) => all.queue.add(job(title)));
  all.queue.cancel(b!);
  all.queue.cancel(a!);
  await settled();
  expect(shape(all)).toEqual(["c", [], undefined]);
  expect(all.queue.view.problem).toBeUndefined();
});

test("a job that fails says why, and the next one runs", async () => {
  const all = start();
  all.queue.add(job("a"));
  all.queue.add(job("b"));
  all.running[0]!.reject(new WorkerError("option.invalid", "Too many steps."));
  await settled();
  expect(shape(all)).toEqual(["b", [], undefined]);
  expect(all.queue.view.problem).toBe("Too many steps.");
  all.queue.add(job("c"));
  expect(all.queue.view.problem).toBeUndefined();
});

test.each(["worker.died", "cancelled"] as const)("interrupted (%s), a job stays the first until a person goes on", async (code) => {
  const all = start();
  all.queue.add(job("a"));
  all.queue.add(job("b"));
  all.running[0]!.reject(new WorkerError(code, "The worker ended."));
  await settled();
  expect(shape(all)).toEqual([undefined, ["a", "b"], "workerDied"]);
  expect(all.titles()).toEqual(["a", "b"]);
  all.queue.continue();
  expect(shape(all)).toEqual(["a", ["b"], undefined]);
  expect(all.running.map(({ title }) => title)).toEqual(["a", "a"]);
});

test("what a window left behind waits, and can be discarded", () => {
  const kept = ["a", "b"].map((title) => ({ id: title, job: job(title) }));
  const all = start(kept);
  expect(shape(all)).toEqual([undefined, ["a", "b"], "reloaded"]);
  expect(all.running).toEqual([]);
  all.queue.cancel("a");
  expect(shape(all)).toEqual([undefined, ["b"], "reloaded"]);
  all.queue.discard();
  expect(shape(all)).toEqual([undefined, [], undefined]);
  expect(all.titles()).toEqual([]);
});

test("jobs left behind come before those that run already", () => {
  const all = start();
  all.queue.add(job("a"));
  all.queue.add(job("b"));
  all.queue.adopt([{ id: "left", job: job("left") }]);
  expect(shape(all)).toEqual(["a", ["left", "b"], undefined]);
});

test("a window takes over the jobs of windows that have ended, not of those that are open", () => {
  const memory = memento();
  const open = new Set([1, 2, 3]);
  const window = (id: number) => new KeptJobs<QueueJob>(memory, id, (other) => open.has(other));
  const jobs = (title: string) => [{ id: title, job: job(title) }];
  void window(1).save(jobs("a"));
  void window(2).save(jobs("b"));
  const third = window(3);
  expect(third.takeLeft()).toEqual([]);
  expect(third.others).toEqual([1, 2]);
  open.delete(1);
  expect(third.takeLeft()).toEqual(jobs("a"));
  expect(third.takeLeft()).toEqual([]);
  expect(third.others).toEqual([2]);
  // A machine that has started again gives the same ids to others.
  expect(window(2).takeLeft()).toEqual(jobs("b"));
  void window(2).save(jobs("c"));
  void window(2).save([]);
  expect(memory.keys()).toEqual([]);
});

test("what another version kept and is no job is not taken over", () => {
  const memory = memento();
  const left = [null, { id: 3, job: job("a") }, { id: "b" }, { id: "c", job: { title: "c" } }, { id: "d", job: job("d") }];
  void memory.update("generation.queue.7", left);
  expect(new KeptJobs<QueueJob>(memory, 8, () => false).takeLeft()).toEqual([{ id: "d", job: job("d") }]);
  void memory.update("generation.queue.7", "nothing");
  expect(new KeptJobs<QueueJob>(memory, 8, () => false).takeLeft()).toEqual([]);
});
