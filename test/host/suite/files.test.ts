import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import * as vscode from "vscode";
import { EngineProblems } from "../../../src/extension/engineProblems.ts";
import { type ModelFile, ModelFiles } from "../../../src/extension/files.ts";
import { SummaryStore } from "../../../src/extension/files/summaries.ts";
import type { WorkerHost, WorkerState } from "../../../src/extension/worker/host.ts";
import { WorkerError } from "../../../src/extension/worker/connection.ts";
import type { FileSummary } from "../../../src/worker/protocol.ts";
import { inWorkspace, silentLog } from "../harness/inside.ts";
import { until } from "../harness/processes.ts";
import { test } from "../harness/runner.ts";

test("a file that is written while its header is read is looked into again, and nothing old is remembered of it", async () => {
  const path = inWorkspace("written.trt_lora");
  writeFileSync(path, "old");
  const folder = mkdtempSync(inWorkspace("store-"));
  const store = new SummaryStore(folder, "1");
  const asked: { readonly paths: readonly string[]; readonly answer: (rank: number) => void }[] = [];
  const describe = (paths: readonly string[]): Promise<FileSummary[]> =>
    new Promise((resolve) => {
      asked.push({ paths, answer: (rank) => resolve(paths.map((each) => ({ path: each, kind: "delta", rank }))) });
    });
  const files = new ModelFiles({ describe } as unknown as WorkerHost, store, silentLog());
  try {
    await files.listed();
    await until("the question", () => asked[0]?.paths.includes(path));
    writeFileSync(path, "new and longer");
    await files.refresh();
    asked[0]!.answer(1);
    const again = await until("another question", () => asked.slice(1).find(({ paths }) => paths.includes(path)));
    assert.equal(files.get(path)?.summary.kind, "undescribed");
    again.answer(2);
    await files.settled();
    assert.equal(files.get(path)?.summary.rank, 2);
    const { bytes, modified, form } = files.get(path)!;
    assert.equal((await new SummaryStore(folder, "1").get({ path, form, bytes, modified }))?.rank, 2);
    assert.equal(asked.flatMap(({ paths }) => paths).filter((each) => each === path).length, 2, "and no third time");
  } finally {
    files.dispose();
    rmSync(path);
    rmSync(folder, { recursive: true });
  }
});

/** A worker that answers what the test says, and its changes of state. */
function fakeWorker(answers: (() => Promise<string | null>)[]) {
  const changed = new vscode.EventEmitter<WorkerState>();
  const engineProblem = (): Promise<string | null> => answers.shift()!();
  return { worker: { engineProblem, onDidChangeState: changed.event } as unknown as WorkerHost, changed };
}

test("an engine's problem is asked for once, again of a new worker, and never again where that ended one", async () => {
  const path = "/e/for-an-h200";
  const summary = { path, kind: "engine bundle", backend: "tensorrt" } as const;
  const engine: ModelFile = { uri: vscode.Uri.file(path), form: "bundle", bytes: 1, modified: 1, summary };
  const described = new vscode.EventEmitter<readonly ModelFile[] | undefined>();
  const files = { onDidChange: described.event, of: () => [engine], get: () => engine } as unknown as ModelFiles;
  const died = (): Promise<null> => Promise.reject(new WorkerError("worker.died", "It ended."));
  const answers = [() => Promise.resolve("no library"), () => Promise.resolve(null), died];
  const { worker, changed } = fakeWorker(answers);
  const problems = new EngineProblems(files, worker, silentLog());
  let told = 0;
  problems.onDidChange(() => told++);
  const left = (count: number): Promise<unknown> => until("the question", () => answers.length === count);
  try {
    described.fire([engine]);
    described.fire([engine]);
    changed.fire("idle");
    await until("the answer", () => problems.of(path) === "no library");
    assert.deepEqual([answers.length, told], [2, 1]);
    // A library is installed, and the worker started again.
    changed.fire("stopped");
    assert.equal(problems.of(path), "no library", "it is known until there is another answer");
    changed.fire("idle");
    await until("the other answer", () => problems.of(path) === undefined);
    assert.equal(told, 2);
    changed.fire("stopped");
    changed.fire("idle");
    await left(0);
    await new Promise((resolve) => setTimeout(resolve, 10));
    changed.fire("crashed");
    changed.fire("stopped");
    changed.fire("idle");
    described.fire([engine]);
    assert.equal(answers.length, 0);
  } finally {
    problems.dispose();
  }
});
