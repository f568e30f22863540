import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { expect, test } from "vitest";
import { buildFolderAtomically, writeFileAtomically } from "../../src/formats/atomic-file.ts";
import { temporarySibling } from "../../src/formats/temporary-names.ts";
import { temporaryFolder } from "./jobs-support.ts";

/** A process id that was another's and is nobody's now. */
const ENDED = spawnSync(process.execPath, ["-e", ""]).pid;

/** What a process calls a file of this name before it is finished. */
function unfinished(name: string, writer = process.pid): string {
  return basename(temporarySibling(join("/", name))).replace(`-${process.pid}-`, `-${writer}-`);
}

const write = (path: string): Promise<void> => writeFileAtomically(path, (writer) => writer.write(Buffer.from("x")));

test("what an ended process left in a folder goes when the next one writes there", async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, unfinished("model.safetensors", ENDED)), "half");
  mkdirSync(join(folder, unfinished("engine", ENDED), "nested"), { recursive: true });
  await write(join(folder, "other.txt"));
  expect(readdirSync(folder)).toEqual(["other.txt"]);
});

test("the same where a folder is built", async () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, unfinished("engine", ENDED)));
  await buildFolderAtomically(join(folder, "engine"), async () => {});
  expect(readdirSync(folder)).toEqual(["engine"]);
});

test("what a running process, another machine or another program writes stays", async () => {
  const folder = temporaryFolder();
  const [, machine] = /\.([0-9a-f]{8})-\d+-[0-9a-f]{12}\.tmp$/.exec(unfinished("a"))!;
  const elsewhere = unfinished("b", ENDED).replace(machine!, machine === "01234567" ? "76543210" : "01234567");
  const kept = [unfinished("a"), elsewhere, `.c.${ENDED}.tmp`, unfinished("d", ENDED).slice(1), "notes.tmp"];
  for (const name of kept) writeFileSync(join(folder, name), "");
  await write(join(folder, "new.txt"));
  expect(readdirSync(folder).toSorted()).toEqual([...kept, "new.txt"].toSorted());
});

test("a name of as many bytes as a file system takes can be written", async () => {
  const folder = temporaryFolder();
  const name = `${"雪".repeat(83)}.png`;
  await write(join(folder, name));
  expect(readdirSync(folder)).toEqual([name]);
});
