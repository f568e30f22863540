import { createHash, randomBytes } from "node:crypto";
import { readlinkSync } from "node:fs";
import { readdir, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join, resolve } from "node:path";

/*
 * What is not finished lies beside its final name, under one that says which process writes it. One that is killed cannot remove it: the next
 * that writes into the folder does.
 */

/** Of the final name, so that the whole stays within the 255 bytes of a name, whatever the script. */
const KEPT_CHARACTERS = 40;
const PATTERN = /^\..*\.([0-9a-f]{8})-(\d+)-[0-9a-f]{12}\.tmp$/s;

/** Those who can tell of each other's process ids whether they run: on one machine, and in one container of it. */
const MACHINE = createHash("sha256").update(`${hostname()} ${processNamespace()}`).digest("hex").slice(0, 8);

function processNamespace(): string {
  try {
    return readlinkSync("/proc/self/ns/pid");
  } catch {
    return "";
  }
}

/** Hidden, so that file lists do not show what is not finished; random, so that two jobs never meet. */
export function temporarySibling(path: string): string {
  const absolute = resolve(path);
  const writer = `${MACHINE}-${process.pid}-${randomBytes(6).toString("hex")}`;
  return join(dirname(absolute), `.${keptName(absolute)}.${writer}.tmp`);
}

/** Process ids of those on this machine that run and have names of a path's `temporarySibling`, besides the one called `own`. */
export async function writersOf(path: string, own: string): Promise<number[]> {
  const absolute = resolve(path);
  const start = `.${keptName(absolute)}.`;
  const names = await readdir(dirname(absolute));
  return names.flatMap((name) => {
    const writer = name.startsWith(start) && name !== basename(own) ? writerOf(name) : undefined;
    return writer !== undefined && isRunning(writer) ? [writer] : [];
  });
}

function keptName(path: string): string {
  return basename(path).slice(0, KEPT_CHARACTERS);
}

/** The process of this machine that calls something so before it is finished. */
function writerOf(name: string): number | undefined {
  const [, machine, writer] = PATTERN.exec(name) ?? [];
  return machine === MACHINE ? Number(writer) : undefined;
}

const cleaned = new Map<string, Promise<void>>();

/** Removes what processes of this machine that have ended left in a folder unfinished; looks once for each folder. */
export function removeAbandoned(folder: string): Promise<void> {
  const known = cleaned.get(folder);
  if (known) return known;
  const cleaning = removeThose(folder);
  cleaned.set(folder, cleaning);
  return cleaning;
}

async function removeThose(folder: string): Promise<void> {
  const names = await readdir(folder).catch((): string[] => []);
  const abandoned = names.filter((name) => {
    const writer = writerOf(name);
    return writer !== undefined && !isRunning(writer);
  });
  // What cannot be removed is not in the way.
  await Promise.all(abandoned.map((name) => rm(join(folder, name), { recursive: true, force: true }).catch(() => undefined)));
}

function isRunning(id: number): boolean {
  try {
    process.kill(id, 0);
    return true;
  } catch (error) {
    // Another person's process runs, though this one may not signal it.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
