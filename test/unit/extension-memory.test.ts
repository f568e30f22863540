import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { History, type HistoryRecord, MOST_RECORDS } from "../../src/extension/generation/history.ts";
import { FolderMemory, pathKey, workspaceName } from "../../src/extension/memory.ts";
import type { GenerationForm } from "../../src/webview/generation/model/form.ts";
import { temporaryFolder } from "./jobs-support.ts";
import { memento } from "./memento.ts";

test("windows that share a folder keep what each other writes, and read it when they are opened", async () => {
  const folder = join(temporaryFolder(), "not", "there", "yet");
  const [first, second] = [new FolderMemory(folder), new FolderMemory(folder)];
  expect([first.keys(), first.get("a"), first.get("a", 1)]).toEqual([[], undefined, 1]);
  await Promise.all([first.update("a", { of: "first" }), second.update("b/ü:?", [2])]);
  expect(first.keys().toSorted()).toEqual(["a", "b/ü:?"]);
  expect(second.get("b/ü:?")).toEqual([2]);
  const third = new FolderMemory(folder);
  expect([third.get("a"), third.get("b/ü:?")]).toEqual([{ of: "first" }, [2]]);
  // What a window knows stays as it is while it is open: another one's stack is not put on its engine.
  await second.update("a", { of: "second" });
  expect(third.get("a")).toEqual({ of: "first" });
  await third.update("b/ü:?", undefined);
  expect(first.keys()).toEqual(["a"]);
  expect(readdirSync(folder)).toEqual(["a.json"]);
});

test("a value is there from the moment it was given, later changes to it are not, and the last of several stays", async () => {
  const folder = temporaryFolder();
  const memory = new FolderMemory(folder);
  const value = { list: [1] };
  const writes = [memory.update("a", 1), memory.update("a", undefined), memory.update("b", 2), memory.update("a", value)];
  value.list.push(2);
  expect(memory.keys().toSorted()).toEqual(["a", "b"]);
  expect(memory.get("a")).toEqual({ list: [1] });
  const removed = memory.update("b", undefined);
  expect(memory.keys()).toEqual(["a"]);
  await Promise.all([...writes, removed]);
  const next = new FolderMemory(folder);
  expect([next.keys(), next.get("a"), next.get("b")]).toEqual([["a"], { list: [1] }, undefined]);
});

test("a write that fails says so, leaves nothing behind and stops no later one", async () => {
  const folder = temporaryFolder();
  const memory = new FolderMemory(folder);
  mkdirSync(join(folder, "a.json"));
  await expect(memory.update("a", 1)).rejects.toThrow("a.json");
  expect(readdirSync(folder)).toEqual(["a.json"]);
  expect(memory.get("a")).toBe(1);
  rmSync(join(folder, "a.json"), { recursive: true });
  await memory.update("a", 2);
  expect(new FolderMemory(folder).get("a")).toBe(2);
});

test("what is damaged, or none of ours, is not known", () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "a.json"), '{"cut');
  writeFileSync(join(folder, "%E0%A4%A.json"), "1");
  writeFileSync(join(folder, "a.json.7.tmp"), "1");
  const memory = new FolderMemory(folder);
  expect(memory.get("a", "nothing")).toBe("nothing");
  expect(memory.keys()).toEqual(["a"]);
});

test("keys of paths are short and each path's own, and so are workspaces' names", () => {
  const long = `/${"ü/".repeat(2_000)}`;
  expect(pathKey("stack", long)).toMatch(/^stack\.[0-9a-f]{32}$/);
  expect(pathKey("stack", long)).not.toBe(pathKey("stack", `${long}a`));
  expect(workspaceName("file:///w")).toMatch(/^[0-9a-f]{32}$/);
});

const FORM = { prompt: "red apple" } as GenerationForm;

function record(id: string): HistoryRecord {
  const stack = [{ file: "/l/ink.safetensors", scale: 0.5, enabled: true }];
  return { id, pictures: [`/${id}.png`], form: FORM, stack, seed: "1", milliseconds: 5, isGrid: false };
}

const ids = (history: History): string[] => history.records.map(({ id }) => id);

test("two windows' histories are one: neither adding nor taking away undoes what the other has done", async () => {
  const folder = temporaryFolder();
  const [first, second] = [new History(new FolderMemory(folder)), new History(new FolderMemory(folder))];
  await first.add(record("a"), 1_000);
  expect(ids(second)).toEqual(["a"]);
  await second.add(record("b"), 2_000);
  await first.add(record("c"), 3_000);
  expect([ids(first), ids(second)]).toEqual([
    ["c", "b", "a"],
    ["c", "b", "a"],
  ]);
  await second.remove("a");
  await first.add(record("d"), 10_000);
  expect(ids(new History(new FolderMemory(folder)))).toEqual(["d", "c", "b"]);
  expect(first.records[0]).toEqual(record("d"));
});

test("the history keeps the newest, and shows nothing that is none of its records", async () => {
  const memory = memento();
  const history = new History(memory);
  for (let index = 0; index < MOST_RECORDS + 5; index++) await history.add(record(String(index)), index);
  expect(history.records).toHaveLength(MOST_RECORDS);
  expect(ids(history)[0]).toBe(String(MOST_RECORDS + 4));
  expect(memory.keys()).toHaveLength(MOST_RECORDS);
  const { stack: _stack, ...unstacked } = record("a");
  const bad = [null, 3, {}, { ...record("a"), pictures: [] }, { ...record("a"), pictures: [3] }, unstacked, { ...unstacked, stack: [{}] }];
  for (const [index, value] of bad.entries()) await memory.update(`generation.history.9.${index}`, value);
  expect(ids(history).every((id) => /^\d+$/.test(id))).toBe(true);
});
