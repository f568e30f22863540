import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { History } from "../../src/extension/generation/history.ts";
import { KeptJobs } from "../../src/extension/generation/kept-jobs.ts";
import { FolderMemory, type Memory, pathKey, WindowMemory } from "../../src/extension/memory.ts";
import { carryOver, renew } from "../../src/extension/olderMemory.ts";
import { stackKey } from "../../src/extension/stack/entries.ts";
import { temporaryFolder } from "./jobs-support.ts";
import { memento } from "./memento.ts";

const STACK = [{ file: "/l/ink.safetensors", scale: 0.5, enabled: true }];
const JOBS = [{ id: "j", job: { title: "t", seed: "1", pictures: 1 } }];
const FORM = { prompt: "red apple" };
const BASE = { path: "/m/base.safetensors", reason: "chosen" };

function record(id: string) {
  return { id, pictures: [`/${id}.png`], form: FORM as never, stack: STACK, seed: "1", milliseconds: 5, isGrid: false };
}

/** As versions before the one file a key kept it. */
async function older() {
  const state = memento();
  await state.update("stacks", { "/e/one": STACK, "/e/two": [] });
  await state.update("stacks.engine", "/e/one");
  await state.update("generation.history", [record("new"), record("old"), { damaged: true }]);
  await state.update("generation.form", FORM);
  await state.update("generation.queue.7", JOBS);
  await state.update("tensorrt.deltaEditor.base:/l/a: b.safetensors", BASE);
  return state;
}

const ids = (memory: Memory): string[] => new History(memory).records.map(({ id }) => id);
const left = (memory: Memory): string[] => new KeptJobs(memory, 8, () => false).takeLeft().map(({ id }) => id);

function expectAll(memory: Memory): void {
  expect([memory.get(stackKey("/e/one")), memory.get("stacks.engine")]).toEqual([STACK, "/e/one"]);
  expect(ids(memory)).toEqual(["new", "old"]);
  expect(memory.get("generation.form")).toEqual({ form: FORM, at: 0 });
  expect(memory.get(pathKey("tensorrt.deltaEditor.base", "/l/a: b.safetensors"))).toEqual(BASE);
  expect(left(memory)).toEqual(["j"]);
}

test("what an older version kept of a workspace is carried over, and stays where it was", async () => {
  const [state, folder] = [await older(), join(temporaryFolder(), "not", "there")];
  const before = state.keys().length;
  carryOver(state, folder);
  expectAll(new FolderMemory(folder));
  expect(state.keys()).toHaveLength(before);
});

test("it is once, whatever is done to it since, and by which window", async () => {
  const [state, folder] = [await older(), temporaryFolder()];
  carryOver(state, folder);
  const memory = new FolderMemory(folder);
  await Promise.all(memory.keys().map((key) => memory.update(key, undefined)));
  carryOver(state, folder);
  expect(new FolderMemory(folder).keys()).toEqual([]);
});

test("nothing newer is replaced, and both histories and queues are there", async () => {
  const [state, folder] = [await older(), temporaryFolder()];
  const memory = new FolderMemory(folder);
  await memory.update(stackKey("/e/one"), []);
  await memory.update("generation.form", { form: FORM, at: 5 });
  await memory.update("generation.queue.7", [{ ...JOBS[0], id: "newer" }]);
  await new History(memory).add(record("newest"));
  carryOver(state, folder);
  const next = new FolderMemory(folder);
  expect([next.get(stackKey("/e/one")), next.get("generation.form")]).toEqual([[], { form: FORM, at: 5 }]);
  expect(ids(next)).toEqual(["newest", "new", "old"]);
  expect(left(next).toSorted()).toEqual(["j", "newer"]);
});

test("a window that ends in the middle loses nothing: another one does the rest", async () => {
  const [state, folder] = [await older(), temporaryFolder()];
  carryOver(state, folder);
  const moved = readdirSync(folder).find((name) => name.startsWith("stack."))!;
  rmSync(join(folder, moved));
  writeFileSync(join(folder, "carried-over", moved), JSON.stringify(STACK));
  carryOver(state, folder);
  expectAll(new FolderMemory(folder));
  expect(readdirSync(join(folder, "carried-over"))).toEqual(["done"]);
});

test("where it cannot be written that is said, and the next window does it", async () => {
  const [state, parent] = [await older(), temporaryFolder()];
  const folder = join(parent, "memory");
  writeFileSync(folder, "no folder");
  expect(() => carryOver(state, folder)).toThrow("memory");
  rmSync(folder);
  mkdirSync(folder);
  carryOver(state, folder);
  expectAll(new FolderMemory(folder));
});

test("where there is nothing, no folder is made", () => {
  const folder = join(temporaryFolder(), "memory");
  carryOver(memento(), folder);
  expect(readdirSync(join(folder, ".."))).toEqual([]);
});

test("a window without a workspace has it under the keys of today, as often as it is opened", async () => {
  const state = await older();
  await renew(state);
  const keys = state.keys().toSorted();
  await renew(state);
  expect(state.keys().toSorted()).toEqual(keys);
  expect(keys).not.toContain("stacks");
  expectAll(new WindowMemory(state));
});
