import { mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, expect, test } from "vitest";
import { WorkerConnection } from "../../src/extension/worker/connection.ts";
import type { JobKind, Jobs } from "../../src/worker/protocol.ts";
import { CHECKPOINT, HUE, INK, newEngines, run, temporaryFolder } from "./jobs-support.ts";

/* The worker's process is killed in the middle of a job: what the job's folder holds then, and that another worker goes on from there. */

const WORKER = join(import.meta.dirname, "..", "..", "src", "worker", "main.ts");
const folder = temporaryFolder();
const engine = join(folder, "emoji");
const running: WorkerConnection[] = [];

beforeAll(async () => {
  const engines = newEngines();
  await run("export", { checkpoint: CHECKPOINT, output: engine }, engines);
  await engines.unloadAll();
});

afterEach(async () => {
  await Promise.all(running.splice(0).map((connection) => connection.stop()));
});

async function start(): Promise<WorkerConnection> {
  const connection = await WorkerConnection.start(
    { script: WORKER, restricted: false, environment: process.env },
    { onExit: () => {}, onOutput: () => {}, onLog: () => {}, onEngines: () => {} },
  );
  running.push(connection);
  return connection;
}

/** Far more than are done before the process is killed, and as few as there can be. */
const [LONG, SHORT] = [5_000, 1] as const;

interface Killed<Kind extends JobKind = JobKind> {
  readonly kind: Kind;
  /** The part of the job in which the worker is killed; absent: before it could begin. */
  readonly stage?: string;
  readonly options: (folder: string, steps: number) => Jobs[Kind]["options"];
  /** What the folder holds once the job was done. */
  readonly written: readonly string[];
}

const killed = <Kind extends JobKind>(job: Killed<Kind>): Killed<Kind> => job;
const QUICK = { engine, prompt: "red apple", width: 64, height: 64, previewEvery: 1 } as const;

const JOBS = [
  killed({
    kind: "grid",
    stage: "sampling",
    options: (to, steps) => ({ ...QUICK, x: { option: "steps", values: [1, steps] }, output: join(to, "g.png") }),
    written: ["g.png"],
  }),
  killed({
    kind: "bench",
    stage: "timing steps",
    options: (_to, steps) => ({ engine, steps, lora: [{ file: INK }] }),
    written: [],
  }),
  killed({ kind: "doctor", options: () => ({}), written: [] }),
  killed({
    kind: "generate",
    stage: "sampling",
    options: (to, steps) => ({ ...QUICK, steps, output: join(to, "p.png"), saveLatents: join(to, "p.safetensors") }),
    written: ["p.png", "p.safetensors"],
  }),
  killed({
    kind: "export",
    stage: "converting weights",
    options: (to) => ({ checkpoint: CHECKPOINT, components: ["vae_decoder"], precision: "fp32", output: join(to, "e") }),
    written: ["e"],
  }),
  killed({
    kind: "delta",
    stage: "writing the delta",
    options: (to) => ({ engine, lora: HUE, dense: true, output: join(to, "d.trt_lora") }),
    written: ["d.trt_lora"],
  }),
  killed({
    kind: "bake",
    stage: "writing the checkpoint",
    options: (to) => ({ checkpoint: CHECKPOINT, lora: [{ file: INK }], output: join(to, "b.safetensors") }),
    written: ["b.safetensors"],
  }),
] as const satisfies readonly Killed[];

/** Asks for a job and kills the process in the middle of it. */
async function askAndKill(worker: WorkerConnection, { kind, stage, options }: Killed, to: string): Promise<unknown> {
  const { processId } = worker;
  if (stage === undefined) process.kill(processId!, "SIGSTOP");
  const job = worker.runJob(kind, options(to, LONG), (progress) => {
    if (progress.stage === stage) process.kill(processId!, "SIGKILL");
  });
  if (stage === undefined) process.kill(processId!, "SIGKILL");
  return job;
}

test.each(JOBS)("during $kind: no file under its name, and the next worker does the job and clears up", async (job: Killed) => {
  const to = join(folder, `killed-${job.kind}`);
  mkdirSync(to);
  await expect(askAndKill(await start(), job, to)).rejects.toMatchObject({
    code: "worker.died",
    message: expect.stringMatching(/\(SIGKILL\)\. Restart it and try again\.$/) as string,
  });
  expect(readdirSync(to).filter((name) => !name.startsWith("."))).toEqual([]);
  const again = await start();
  await again.runJob(job.kind, job.options(to, SHORT), () => {});
  expect(readdirSync(to).toSorted()).toEqual(job.written);
});
