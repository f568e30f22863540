import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, expect, test } from "vitest";
import { type WorkerExit, WorkerConnection } from "../../src/extension/worker/connection.ts";
import { CancellationSource } from "../../src/extension/worker/cancellation.ts";
import { HUE, INK } from "./jobs-support.ts";

const WORKER = join(import.meta.dirname, "..", "..", "src", "worker", "main.ts");
const folder = mkdtempSync(join(tmpdir(), "tensorrt-worker-"));
const running: WorkerConnection[] = [];

afterEach(async () => {
  await Promise.all(running.splice(0).map((connection) => connection.stop()));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function start(restricted = false): Promise<{ readonly connection: WorkerConnection; readonly exit: Promise<WorkerExit> }> {
  let onExit: (exit: WorkerExit) => void = () => {};
  const exit = new Promise<WorkerExit>((resolve) => (onExit = resolve));
  const connection = await WorkerConnection.start(
    { script: WORKER, restricted, environment: process.env },
    { onExit, onOutput: () => {}, onLog: () => {}, onEngines: () => {} },
  );
  running.push(connection);
  return { connection, exit };
}

function brokenFile(): string {
  const file = join(folder, "broken.safetensors");
  writeFileSync(file, Buffer.from([255, 255, 0, 0, 0, 0, 0, 0, 123]));
  return file;
}

function isRunning(id: number): boolean {
  try {
    process.kill(id, 0);
    return true;
  } catch {
    return false;
  }
}

async function untilGone(id: number): Promise<void> {
  while (isRunning(id)) await new Promise((resolve) => setTimeout(resolve, 20));
}

test("a job's refusal keeps its code and sentence", async () => {
  const { connection } = await start();
  const file = brokenFile();
  await expect(connection.runJob("inspect", { file }, () => {})).rejects.toMatchObject({
    name: "WorkerError",
    code: "file.truncated",
    message: expect.stringContaining(file) as string,
  });
});

test("options that are not the job's are refused", async () => {
  const { connection } = await start();
  await expect(connection.runJob("inspect", { file: "" }, () => {})).rejects.toMatchObject({ code: "option.invalid" });
});

test("what is not to be compared is refused as an option, whichever way it is asked for", async () => {
  const { connection } = await start();
  const target = { a: [{ file: "" }], b: [] };
  const refusal = { code: "option.invalid", message: expect.stringMatching(/^--a "": /) as string };
  await expect(connection.compare(target, () => {})).rejects.toMatchObject(refusal);
  await expect(connection.request("comparison/detail", { ...target, state: "", layer: "a" })).rejects.toMatchObject(refusal);
});

test("files are described in order, unreadable ones with their problem", async () => {
  const { connection } = await start();
  const file = brokenFile();
  const missing = join(folder, "missing.safetensors");
  const summaries = await connection.request("files/describe", { paths: [file, missing] });
  expect(summaries.map(({ path, kind }) => [path, kind])).toEqual([
    [file, "unreadable"],
    [missing, "unreadable"],
  ]);
  for (const { problem } of summaries) expect(problem).toBeTruthy();
});

test.each(["export", "delta", "generate", "bench", "doctor"] as const)("restricted, the worker itself refuses %s", async (kind) => {
  const { connection } = await start(true);
  await expect(connection.runJob(kind, {}, () => {})).rejects.toThrow(/not trusted/);
});

test("a request that is cancelled is refused as cancelled", async () => {
  const { connection } = await start();
  const paths = Array<string>(10_000).fill(brokenFile());
  const asked = connection.request(
    "files/describe",
    { paths },
    {
      isCancellationRequested: false,
      onCancellationRequested: (listener) => {
        const timer = setTimeout(listener, 20);
        return { dispose: () => clearTimeout(timer) };
      },
    },
  );
  await expect(asked).rejects.toMatchObject({ code: "cancelled" });
});

test("restricted, it compares and looks into the comparison, tells how far it is, and ends where it is cancelled", async () => {
  const { connection } = await start(true);
  const target = { a: [{ file: INK }], b: [{ file: HUE, scale: 0.5 }] };
  const fractions: number[] = [];
  const { result, state } = await connection.compare(target, ({ fraction = 0 }) => fractions.push(fraction));
  expect(result.totals.layersInBoth).toBe(192);
  expect(fractions.at(-1)).toBe(1);
  const { name: layer } = result.layers[0]!;
  const detail = await connection.request("comparison/detail", { ...target, state, layer });
  expect(detail.comparison).toEqual(result.layers[0]);
  const tile = await connection.request("comparison/tile", { ...target, state, layer, level: 0, x: 0, y: 0 });
  expect([tile.height, tile.width]).toEqual([detail.rows, detail.columns]);
  await expect(connection.request("comparison/detail", { ...target, state: "", layer })).rejects.toMatchObject({ code: "file.invalid" });
  const cancellation = new CancellationSource();
  const cancelled = connection.compare({ ...target, b: [{ file: INK }] }, () => cancellation.cancel(), cancellation);
  await expect(cancelled).rejects.toMatchObject({ code: "cancelled" });
});

test("when the process is killed, requests under way and later ones are refused", async () => {
  const { connection, exit } = await start();
  // Suspended, so that it cannot answer first.
  process.kill(connection.processId!, "SIGSTOP");
  const asked = connection.request("files/describe", { paths: [] });
  process.kill(connection.processId!, "SIGKILL");
  await expect(asked).rejects.toMatchObject({ code: "worker.died", message: expect.stringContaining("SIGKILL") as string });
  expect(await exit).toEqual({ expected: false, code: null, signal: "SIGKILL" });
  await expect(connection.request("files/describe", { paths: [] })).rejects.toMatchObject({ code: "worker.died" });
});

test("stopped on purpose, it ends as expected, and requests under way are cancelled", async () => {
  const { connection, exit } = await start();
  const asked = connection.request("files/describe", { paths: Array<string>(100_000).fill(brokenFile()) });
  const stopped = connection.stop();
  await expect(asked).rejects.toMatchObject({ code: "cancelled" });
  await stopped;
  expect((await exit).expected).toBe(true);
});

test("the worker ends with the process that started it", async () => {
  const parent = join(folder, "parent.mjs");
  writeFileSync(
    parent,
    `import { fork } from "node:child_process";
const worker = fork(${JSON.stringify(WORKER)}, [], { stdio: "ignore" });
worker.once("spawn", () => process.stdout.write(String(worker.pid) + "\\n"));
setInterval(() => {}, 1000);`,
  );
  const host = spawn(process.execPath, [parent], { stdio: ["ignore", "pipe", "inherit"] });
  const worker = await new Promise<number>((resolve) => host.stdout.once("data", (data: Buffer) => resolve(Number(data.toString()))));
  expect(isRunning(worker)).toBe(true);
  host.kill("SIGKILL");
  await untilGone(worker);
});

test("started from a terminal, it says what to start instead", async () => {
  const child = spawn(process.execPath, [WORKER], { stdio: ["ignore", "ignore", "pipe"] });
  let output = "";
  child.stderr.on("data", (data: Buffer) => (output += data.toString()));
  const code = await new Promise((resolve) => child.once("close", resolve));
  expect(code).toBe(2);
  expect(output).toContain("tensorrt-redux");
});
