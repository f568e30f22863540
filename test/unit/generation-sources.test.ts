import { existsSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { KeptJobs } from "../../src/extension/generation/kept-jobs.ts";
import { removeUnusedSources } from "../../src/extension/generation/unused-sources.ts";
import { WindowMemory } from "../../src/extension/memory.ts";
import { temporaryFolder } from "./jobs-support.ts";
import { memento } from "./memento.ts";

const [HOUR, DAY] = [3_600_000, 86_400_000];

/** A folder with kept pictures of these ages, in milliseconds; gives it with their paths. */
function kept(...ages: readonly number[]): { readonly folder: string; readonly paths: readonly string[] } {
  const folder = temporaryFolder();
  const paths = ages.map((age, index) => {
    const path = join(folder, `${String(index).repeat(24)}.png`);
    writeFileSync(path, "");
    const time = new Date(Date.now() - age);
    utimesSync(path, time, time);
    return path;
  });
  return { folder, paths };
}

test("of the pictures to start from stay those that the form, the history or a window's queue names", async () => {
  const { folder, paths } = kept(2 * DAY, 2 * DAY, 2 * DAY, 2 * DAY);
  const [ofForm, ofHistory, ofQueue, unused] = paths as [string, string, string, string];
  const memory = memento();
  await memory.update("generation.form", { source: ofForm });
  await memory.update("generation.history", [
    { id: "a", form: { source: "" } },
    { id: "b", form: { source: ofHistory } },
  ]);
  const job = { title: "t", seed: "1", pictures: 1, work: { options: { image: ofQueue } } };
  await new KeptJobs(new WindowMemory(memory), 7, () => true).save([{ id: "c", job }]);
  await removeUnusedSources(folder, memory);
  expect(paths.filter((path) => existsSync(path))).toEqual([ofForm, ofHistory, ofQueue]);
  expect(existsSync(unused)).toBe(false);
  await memory.update("generation.history", []);
  await removeUnusedSources(folder, memory);
  expect(paths.filter((path) => existsSync(path))).toEqual([ofForm, ofQueue]);
});

test("one of another window that was kept today stays, and so does what is none of ours", async () => {
  const { folder, paths } = kept(23 * HOUR, 25 * HOUR);
  const other = join(folder, "holiday.png");
  writeFileSync(other, "");
  utimesSync(other, new Date(0), new Date(0));
  await removeUnusedSources(folder, memento());
  expect(readdirSync(folder).toSorted()).toEqual([`${"0".repeat(24)}.png`, "holiday.png"]);
  expect(existsSync(paths[1]!)).toBe(false);
});

test("where nothing was ever dropped there is nothing to do", async () => {
  await expect(removeUnusedSources(join(temporaryFolder(), "dropped"), memento())).resolves.toBeUndefined();
});
