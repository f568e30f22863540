import { expect, test, vi } from "vitest";
import { KeptJobs } from "../../src/extension/generation/kept-jobs.ts";
import { JobQueue, type QueueJob, type Queued } from "../../src/extension/generation/queue.ts";
import { FolderMemory, type Memory, WindowMemory } from "../../src/extension/memory.ts";
import { type Cancellation, WorkerError } from "../../src/extension/worker/connection.ts";
import type { JobProgress } from "../../src/worker/protocol.ts";
import { temporaryFolder } from "./jobs-support.ts";
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

/** Windows of one workspace, by their ids; those in `open` run. */
function windows(folder = temporaryFolder(), open = new Set([1, 2, 3])) {
  const memory = () => new FolderMemory(folder);
  const window = (id: number, own: Memory = memory()) => new KeptJobs<QueueJob>(own, id, (other) => open.has(other));
  return { open, memory, window, keys: () => memory().keys() };
}

const jobs = (...titles: readonly string[]) => titles.map((title) => ({ id: title, job: job(title) }));

test("a window takes over the jobs of windows that have ended, not of those that are open", async () => {
  const { open, window, keys } = windows();
  await window(1).save(jobs("a"));
  await window(2).save(jobs("b"));
  const third = window(3);
  expect(third.takeLeft()).toEqual([]);
  expect(third.others).toEqual([1, 2]);
  open.delete(1);
  expect(third.takeLeft()).toEqual(jobs("a"));
  expect(third.takeLeft()).toEqual([]);
  expect(third.others).toEqual([2]);
  await third.save([]);
  // A machine that has started again gives the same ids to others.
  const second = window(2);
  expect(second.takeLeft()).toEqual(jobs("b"));
  await second.save(jobs("c"));
  // Its own by now.
  expect(second.takeLeft()).toEqual([]);
  await second.save([]);
  expect(keys()).toEqual([]);
});

test("of two windows that look at once one has the jobs", async () => {
  const { open, memory, window } = windows();
  await window(1).save(jobs("a"));
  open.delete(1);
  // The second has seen the key, and is then too late.
  const late = memory();
  const seen = late.keys();
  vi.spyOn(late, "keys").mockReturnValue(seen);
  expect([window(2).takeLeft(), window(3, late).takeLeft()]).toEqual([jobs("a"), []]);
});

test("jobs that were taken are lost by no end of the window: not before they are saved, and not before what was taken is removed", async () => {
  const { open, memory, window, keys } = windows();
  await window(1).save(jobs("a", "b"));
  open.delete(1);
  expect(window(2).takeLeft()).toEqual(jobs("a", "b"));
  open.delete(2);
  const own = memory();
  const third = window(3, own);
  expect(third.takeLeft()).toEqual(jobs("a", "b"));
  const update = own.update.bind(own);
  vi.spyOn(own, "update").mockImplementation((key, value) =>
    value === undefined ? Promise.reject(new Error("killed")) : update(key, value),
  );
  await expect(third.save(jobs("a", "b", "c"))).rejects.toThrow("killed");
  expect(keys()).toHaveLength(2);
  open.delete(3);
  open.add(4);
  const fourth = window(4);
  const left = fourth.takeLeft();
  expect(left.map(({ id }) => id).toSorted()).toEqual(["a", "b", "c"]);
  await fourth.save(left);
  expect(keys()).toEqual(["generation.queue.4"]);
});

test("jobs that could not be saved stay where they were taken to", async () => {
  const { open, memory, window, keys } = windows();
  await window(1).save(jobs("a"));
  open.delete(1);
  const own = memory();
  const second = window(2, own);
  const full = vi.spyOn(own, "update").mockRejectedValue(new Error("disk full"));
  await expect(second.save(second.takeLeft())).rejects.toThrow("disk full");
  expect(keys()).toHaveLength(1);
  full.mockRestore();
  await second.save(jobs("a"));
  expect(keys()).toEqual(["generation.queue.2"]);
});

test.each([() => new FolderMemory(temporaryFolder()), () => new WindowMemory(memento())])(
  "what another version kept and is no job is not taken over, from memory %#",
  async (make) => {
    const memory = make();
    const left = [null, { id: 3, job: job("a") }, { id: "b" }, { id: "c", job: { title: "c" } }, { id: "d", job: job("d") }];
    await memory.update("generation.queue.7", left);
    expect(new KeptJobs<QueueJob>(memory, 8, () => false).takeLeft()).toEqual(jobs("d"));
    await memory.update("generation.queue.7", "nothing");
    const kept = new KeptJobs<QueueJob>(memory, 9, () => false);
    expect(kept.takeLeft()).toEqual(jobs("d"));
    await kept.save([]);
    expect(memory.keys()).toEqual([]);
  },
);
