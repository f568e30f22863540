import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Memento } from "vscode";
import { historyKey } from "./generation/history.ts";
import { memoryFile, pathKey } from "./memory.ts";
import { stackKey } from "./stack/entries.ts";

/*
 * Older versions kept what a workspace remembers in VS Code's own memory: all stacks under one key, the whole history under another.
 */

type Entries = readonly (readonly [key: string, value: unknown])[];

/** What was carried over lies in here until it takes its place, and a mark that it was: no window does so again. */
const CARRIED = "carried-over";
const MARK = "done";

/**
 * Carries what an older version kept in `state` over to a workspace's folder: once, whichever of its windows is first, and nothing newer is
 * replaced. `state` stays as it is, for who goes back to that version. Throws what the file system does; the next window then tries again.
 */
export function carryOver(state: Memento, folder: string): void {
  const carried = join(folder, CARRIED);
  const keys = state.keys();
  if (keys.length === 0) return;
  if (!existsSync(carried)) {
    const entries = keys.flatMap((key) => ofToday(key, state.get(key)) ?? [[besideNewer(key), state.get<unknown>(key)] as const]);
    writeTogether(entries, carried);
  }
  // Also what a window that has ended in between did not come to.
  for (const name of readdirSync(carried)) if (name !== MARK) moveUnlessNewer(join(carried, name), join(folder, name));
}

/** Gives what an older version kept in the memory of a window without a workspace the keys of today. Rejects where it could not be kept. */
export async function renew(state: Memento): Promise<void> {
  // All at once, so that who reads it next finds all of it.
  const writes: Thenable<void>[] = [];
  for (const before of state.keys()) {
    const entries = ofToday(before, state.get(before));
    if (!entries) continue;
    const known = new Set(state.keys().filter((key) => key !== before));
    for (const [key, value] of entries) if (!known.has(key)) writes.push(state.update(key, value));
    if (!entries.some(([key]) => key === before)) writes.push(state.update(before, undefined));
  }
  await Promise.all(writes);
}

/** What an older version kept under a key as it is kept today; undefined where that is the same. */
function ofToday(key: string, value: unknown): Entries | undefined {
  if (key === "stacks") return Object.entries(value ?? {}).map(([engine, stack]) => [stackKey(engine), stack]);
  if (key === "generation.history") return ofHistory(value);
  if (key === "generation.form") return isRecord(value) && "at" in value ? undefined : [[key, { form: value, at: 0 }]];
  const [, prefix, file] = /^(.+\.base):(.+)$/s.exec(key) ?? [];
  return prefix === undefined ? undefined : [[pathKey(prefix, file!), value]];
}

/** They had no times. Numbers in their order come before every time that there is. */
function ofHistory(records: unknown): Entries {
  const kept: readonly unknown[] = Array.isArray(records) ? records : [];
  return kept.flatMap((record, index) =>
    isRecord(record) && typeof record["id"] === "string" ? [[historyKey(kept.length - index, record["id"]), record] as const] : [],
  );
}

/** A window's jobs are kept under its process id, which another window may have by now. */
function besideNewer(key: string): string {
  return /^generation\.queue\.\d+$/.test(key) ? `${key}-older` : key;
}

/** Writes all entries or none. A folder that another window has put there meanwhile stays. */
function writeTogether(entries: Entries, folder: string): void {
  const temporary = `${folder}.${process.pid}.tmp`;
  try {
    mkdirSync(temporary, { recursive: true });
    for (const [key, value] of entries) writeFileSync(memoryFile(temporary, key), JSON.stringify(value) ?? "null");
    writeFileSync(join(temporary, MARK), "");
    renameSync(temporary, folder);
  } catch (error) {
    if (!existsSync(folder)) throw error;
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

function moveUnlessNewer(from: string, to: string): void {
  if (existsSync(to)) {
    rmSync(from, { force: true });
    return;
  }
  try {
    renameSync(from, to);
  } catch (error) {
    // Another window has moved it.
    if (existsSync(from)) throw error;
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}
