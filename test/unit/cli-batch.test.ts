import type { ChildProcess } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { beforeAll, beforeEach, expect, test } from "vitest";
import { keysOf } from "../../src/cli/batch-results.ts";
import { CHECKPOINT, cli, filesUnder, run, temporaryFolder } from "./jobs-support.ts";

const folder = temporaryFolder();
const engine = join(folder, "emoji");
const place = join(folder, "work");
const batch = join(place, "pictures.tensorrt.jsonl");
const results = join(place, "pictures.tensorrt.results.jsonl");
const QUICK = { engine: "../emoji", prompt: "red apple", steps: 2, width: 64, height: 64 } as const;

beforeAll(async () => {
  await run("export", { checkpoint: CHECKPOINT, output: engine });
});

beforeEach(() => {
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place);
});

function write(...lines: readonly (object | string)[]): void {
  writeFileSync(batch, lines.map((line) => (typeof line === "string" ? line : JSON.stringify({ ...QUICK, ...line }))).join("\n"));
}

function runBatch(args: readonly string[] = [], onOutput?: (child: ChildProcess, stdout: string) => void) {
  return cli(["generate", "--jobs", batch, "--json", ...args], { cwd: place, ...(onOutput && { onOutput }) });
}

/** What each row of the table says. */
function states(lines: readonly Record<string, unknown>[]): unknown[] {
  return lines.filter(({ type }) => type === "job").map(({ line, state }) => `${String(line)} ${String(state)}`);
}

test("what is done is skipped, what is new is run, and the order of the lines does not matter", async () => {
  write({ seed: 1, output: "a.png" }, "# a comment", { seed: 2, output: "b.png" });
  const first = await runBatch();
  expect([first.code, states(first.lines)]).toEqual([0, ["1 done", "3 done"]]);
  expect(first.lines.at(-1)).toEqual({ type: "result", file: batch, results, done: 2, skipped: 0, failed: 0 });
  const before = statSync(join(place, "a.png")).mtimeMs;

  write({ seed: 3, output: "c.png" }, { seed: 2, output: "b.png" }, { seed: 1, output: "a.png" });
  const second = await runBatch();
  expect([second.code, states(second.lines)]).toEqual([0, ["1 done", "2 skipped", "3 skipped"]]);
  expect(statSync(join(place, "a.png")).mtimeMs).toBe(before);
});

test("lines with the same options are as many jobs; a picture that is gone is made again", async () => {
  write({ output: "a.png" }, { seed: 5 }, { seed: 5 });
  expect(states((await runBatch()).lines)).toEqual(["1 done", "2 done", "3 done"]);
  expect(filesUnder(place).filter((file) => file.endsWith(".png"))).toEqual(["a.png", "out-2.png", "out.png"]);
  rmSync(join(place, "a.png"));
  expect(states((await runBatch()).lines)).toEqual(["1 done", "2 skipped", "3 skipped"]);
  write({ output: "a.png" }, { seed: 5 }, { seed: 5 }, { seed: 5 });
  expect(states((await runBatch()).lines)).toEqual(["1 skipped", "2 skipped", "3 skipped", "4 done"]);
});

test("a job that fails does not end the batch, is told with its line, and is tried again", async () => {
  write({ output: "a.png" }, { output: "none/b.png" }, { output: "c.png" });
  const { code, lines, stderr } = await runBatch();
  expect([code, states(lines)]).toEqual([1, ["1 done", "2 failed", "3 done"]]);
  expect(stderr).toContain(`${batch}:2:1: error: `);
  expect(lines.at(-1)).toMatchObject({ type: "result", done: 2, failed: 1 });
  mkdirSync(join(place, "none"));
  const again = await runBatch();
  expect([again.code, states(again.lines)]).toEqual([0, ["1 skipped", "2 done", "3 skipped"]]);
});

test.each(["SIGKILL", "SIGINT"] as const)("a run that %s ended goes on where it was", async (signal) => {
  write({ seed: 1, output: "a.png" }, { seed: 2, output: "b.png", steps: 400 }, { seed: 3, output: "c.png" });
  let sent = false;
  const ended = await runBatch([], (child, stdout) => {
    if (sent || !stdout.includes('"message":"step 1/400"')) return;
    sent = true;
    child.kill(signal);
  });
  expect(states(ended.lines)).toEqual(["1 done"]);
  expect(signal === "SIGKILL" ? ended.signal : ended.code).toBe(signal === "SIGKILL" ? "SIGKILL" : 130);
  // As if it had been killed after it wrote the picture and before it could say so.
  if (signal === "SIGKILL") writeFileSync(join(place, "b.png"), "half");
  const again = await runBatch();
  expect([again.code, states(again.lines)]).toEqual([0, ["1 skipped", "2 done", "3 done"]]);
  expect(readFileSync(join(place, "b.png")).subarray(1, 4).toString()).toBe("PNG");
});

test("a second run is refused while the first one runs, and takes none of its jobs for a killed run's", async () => {
  write({ seed: 1, output: "a.png", steps: 400 }, { seed: 2, output: "b.png" });
  let second: ReturnType<typeof runBatch> | undefined;
  let first = 0;
  const ended = await runBatch([], (child, stdout) => {
    if (second || !stdout.includes('"message":"step 1/400"')) return;
    first = child.pid!;
    // The one that runs waits, however long the second takes to begin.
    child.kill("SIGSTOP");
    second = runBatch().finally(() => child.kill("SIGCONT"));
  });
  const refused = await second!;
  expect([refused.code, states(refused.lines)]).toEqual([1, []]);
  expect(refused.stderr).toContain(`pictures.tensorrt.jsonl is being run by process ${first}. Wait for its end, or stop it.`);
  expect([ended.code, states(ended.lines)]).toEqual([0, ["1 done", "2 done"]]);
  expect(readdirSync(place).toSorted()).toEqual(["a.png", "b.png", basename(batch), basename(results)].toSorted());
});

test("a picture that was there before the batch is not replaced", async () => {
  writeFileSync(join(place, "a.png"), "mine");
  write({ output: "a.png" });
  for (let attempt = 0; attempt < 2; attempt++) {
    const { lines } = await runBatch();
    expect(states(lines)).toEqual(["1 failed"]);
  }
  expect(readFileSync(join(place, "a.png"), "utf8")).toBe("mine");
});

test("results that were cut off or are none of ours are passed over, and the next one is whole", async () => {
  write({ seed: 1, output: "a.png" }, { seed: 2, output: "b.png" });
  await runBatch();
  const lines = readFileSync(results, "utf8").trimEnd().split("\n");
  writeFileSync(results, `null\n{"key": 1}\n${lines.slice(0, 2).join("\n")}\n${lines[3]!.slice(0, 20)}`);
  expect(states((await runBatch()).lines)).toEqual(["1 skipped", "2 failed"]);
  rmSync(join(place, "b.png"));
  expect(states((await runBatch()).lines)).toEqual(["1 skipped", "2 done"]);
  for (const line of readFileSync(results, "utf8").trimEnd().split("\n").slice(5)) expect(JSON.parse(line)).toHaveProperty("key");
});

test("--overwrite runs all of it again", async () => {
  write({ seed: 1, output: "a.png" });
  await runBatch();
  expect(states((await runBatch(["--overwrite"])).lines)).toEqual(["1 done"]);
});

test("a person reads a table", async () => {
  write({ seed: 7, output: "a.png" });
  const { stdout } = await cli(["generate", "--jobs", batch], { cwd: place });
  expect(stdout).toMatch(/^ line {2}state .* picture\n/);
  expect(stdout).toMatch(/\n {4}1 {2}done .* 7 {2}a\.png red apple\n/);
  expect(stdout).toContain(`1 done, 0 skipped, 0 failed; the results are in ${results}`);
});

test("other files of jobs keep no results", async () => {
  const path = join(place, "jobs.jsonl");
  writeFileSync(path, JSON.stringify({ ...QUICK, output: "a.png" }));
  await cli(["generate", "--jobs", path, "--json"], { cwd: place });
  expect(filesUnder(place)).toEqual(["a.png", "jobs.jsonl"]);
});

test("a job's key is that of its options alone", () => {
  const key = (options: object, line: number) => keysOf([{ kind: "generate", options: { ...options }, file: "f", line }])[0];
  expect(key({ prompt: "a", seed: 1, json: true, overwrite: true }, 1)).toBe(key({ seed: 1, prompt: "a" }, 9));
  expect(key({ prompt: "a", seed: 1 }, 1)).not.toBe(key({ prompt: "a", seed: 2 }, 1));
});
