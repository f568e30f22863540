import { linkSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { expect, test } from "vitest";
import { scanFolders } from "../../src/extension/files/scan.ts";
import { settingFolders } from "../../src/extension/files/setting-folders.ts";
import { SummaryStore } from "../../src/extension/files/summaries.ts";
import { temporaryFolder } from "./jobs-support.ts";

function folderWith(...files: readonly string[]): string {
  const folder = temporaryFolder();
  for (const file of files) {
    mkdirSync(join(folder, file, ".."), { recursive: true });
    writeFileSync(join(folder, file), file);
  }
  return folder;
}

const found = async (folder: string) => {
  const files = await scanFolders([folder]);
  return files.toSorted((a, b) => a.path.localeCompare(b.path, "en")).map(({ path, form }) => [path.slice(folder.length + 1), form]);
};

test("files and folders are told by their names; a marked folder stands for its weights, deltas in it for themselves", async () => {
  const folder = folderWith(
    "a.safetensors",
    "notes.txt",
    "bundle/engine.json",
    "bundle/model_index.json",
    "bundle/weights.safetensors",
    "bundle/loras/ink.trt_lora",
    "diffusers/model_index.json",
    "diffusers/unet/model.safetensors",
    "node_modules/b.safetensors",
    ".git/c.safetensors",
  );
  expect(await found(folder)).toEqual([
    ["a.safetensors", "safetensors"],
    ["bundle", "bundle"],
    ["bundle/loras/ink.trt_lora", "delta"],
    ["diffusers", "diffusers"],
  ]);
});

test("links are followed, in circles and to the same folder once; those that lead nowhere are left out", async () => {
  const folder = folderWith("real/a.safetensors", "real/.x/b.trt_lora");
  symlinkSync(join(folder, "real"), join(folder, "real", "circle"));
  symlinkSync(join(folder, "real", "a.safetensors"), join(folder, "linked.safetensors"));
  symlinkSync(join(folder, "gone"), join(folder, "gone.safetensors"));
  expect(await found(folder)).toEqual([
    ["linked.safetensors", "safetensors"],
    ["real/.x/b.trt_lora", "delta"],
    ["real/a.safetensors", "safetensors"],
  ]);
  expect(await scanFolders([join(folder, "missing"), join(folder, "real"), join(folder, "real")])).toHaveLength(2);
});

test("5,000 files are listed with their sizes in less than a second", async () => {
  const folder = folderWith("one.safetensors");
  for (let index = 1; index < 5_000; index++) linkSync(join(folder, "one.safetensors"), join(folder, `${index}.safetensors`));
  const start = performance.now();
  const files = await scanFolders([folder]);
  expect(performance.now() - start).toBeLessThan(1_000);
  expect(files).toHaveLength(5_000);
  expect(new Set(files.map(({ bytes }) => bytes))).toEqual(new Set(["one.safetensors".length]));
});

const FILE = { path: "/l/a.safetensors", form: "safetensors", bytes: 3, modified: 5 } as const;
const SUMMARY = { path: FILE.path, kind: "lora", rank: 8 } as const;

test("what was described is known again in the next session, of the same file and version alone", async () => {
  const folder = join(temporaryFolder(), "not", "there", "yet");
  const store = new SummaryStore(folder, "1");
  expect(await store.get(FILE)).toBeUndefined();
  await store.set(FILE, SUMMARY);
  await store.set({ ...FILE, path: "/l/gone.safetensors" }, { ...SUMMARY, path: "/l/gone.safetensors" });
  await store.save(new Set([FILE.path]));

  const next = new SummaryStore(folder, "1");
  expect(await next.get(FILE)).toEqual(SUMMARY);
  expect(await next.get({ ...FILE, bytes: 4 })).toBeUndefined();
  expect(await next.get({ ...FILE, modified: 6 })).toBeUndefined();
  expect(await next.get({ ...FILE, path: "/l/gone.safetensors" })).toBeUndefined();
  expect(await new SummaryStore(folder, "2").get(FILE)).toBeUndefined();
});

test("a damaged store is an empty one, and is written anew", async () => {
  const folder = folderWith("summaries.json");
  const store = new SummaryStore(folder, "1");
  expect(await store.get(FILE)).toBeUndefined();
  await store.set(FILE, SUMMARY);
  await store.save(new Set([FILE.path]));
  expect(await new SummaryStore(folder, "1").get(FILE)).toEqual(SUMMARY);
  expect((await scanFolders([folder])).map(({ path }) => basename(path))).toEqual([]);
});

test("a write that failed leaves nothing behind and stops no later one", async () => {
  const folder = join(temporaryFolder(), "store");
  const present = new Set([FILE.path]);
  const store = new SummaryStore(folder, "1");
  await store.set(FILE, SUMMARY);
  // No file can take the place of a folder.
  mkdirSync(join(folder, "summaries.json"), { recursive: true });
  await expect(store.save(present)).rejects.toThrow("summaries.json");
  expect(readdirSync(folder)).toEqual(["summaries.json"]);
  rmSync(join(folder, "summaries.json"), { recursive: true });
  await store.save(present);
  expect(await new SummaryStore(folder, "1").get(FILE)).toEqual(SUMMARY);
});

test.each([
  [["/a", "b", "/c"], ["/a", "/c"], true],
  [[], [], true],
  [["/a", 3, null, ["/b"]], ["/a"], false],
  ["/a", [], false],
  [{ 0: "/a" }, [], false],
  [null, [], false],
])("a setting that is %j names the folders %j", (value, folders, isList) => {
  expect(settingFolders(value)).toEqual({ folders, isList });
});
