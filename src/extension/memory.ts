import { createHash } from "node:crypto";
import { readdirSync, readFileSync, renameSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Memento } from "vscode";
import { replaceFile } from "./replaceFile.ts";

const ENDING = ".json";

/** What a workspace, or a window without any, remembers. */
export interface Memory extends Memento {
  /**
   * Puts the value of a key that this window does not write under another one, at once. Of several windows that do so with one key, one gets
   * the value and the others undefined.
   */
  move(from: string, to: string): unknown;
}

/** VS Code's own memory, of a window that shares it with no other. */
export class WindowMemory implements Memory {
  readonly #state: Memento;
  readonly get: Memento["get"];

  constructor(state: Memento) {
    this.#state = state;
    this.get = state.get.bind(state);
  }

  keys(): readonly string[] {
    return this.#state.keys();
  }

  update(key: string, value: unknown): Thenable<void> {
    return this.#state.update(key, value);
  }

  move(from: string, to: string): unknown {
    const value = this.#state.get<unknown>(from);
    // Both are there from now on; where writing them fails, the next window has what it was before.
    for (const written of [this.update(to, value), this.update(from, undefined)]) written.then(undefined, () => {});
    return value;
  }
}

/**
 * What a workspace remembers, a file for each key. Windows on one workspace write into one folder and lose nothing of each other's: VS Code's own
 * memory is one piece for all keys, in which the window that writes last undoes what the others wrote since it was opened. A value that was read
 * or written once stays for this window what it is; keys are those that there are now.
 */
export class FolderMemory implements Memory {
  readonly #folder: string;
  readonly #values = new Map<string, unknown>();
  /** What is not on the disk yet, by key: one key's writes keep their order. */
  readonly #writes = new Map<string, Promise<void>>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  keys(): readonly string[] {
    const keys = new Set(fileNames(this.#folder).flatMap(keysOf));
    for (const key of this.#writes.keys()) {
      if (this.#values.get(key) === undefined) keys.delete(key);
      else keys.add(key);
    }
    return [...keys];
  }

  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- As VS Code's own memory has it.
  get<T>(key: string): T | undefined;
  get<T>(key: string, defaultValue: T): T;
  get<T>(key: string, defaultValue?: T): T | undefined {
    if (!this.#values.has(key)) this.#values.set(key, this.#read(key));
    return (this.#values.get(key) as T | undefined) ?? defaultValue;
  }

  /** Rejects where it could not be written; this window has the new value all the same. */
  update(key: string, value: unknown): Promise<void> {
    const text = value === undefined ? undefined : JSON.stringify(value);
    this.#values.set(key, text === undefined ? undefined : JSON.parse(text));
    const write = (): Promise<void> => (text === undefined ? rm(this.#fileOf(key), { force: true }) : replaceFile(this.#fileOf(key), text));
    const written = (this.#writes.get(key) ?? Promise.resolve()).then(write, write).finally(() => {
      if (this.#writes.get(key) === written) this.#writes.delete(key);
    });
    this.#writes.set(key, written);
    return written;
  }

  move(from: string, to: string): unknown {
    try {
      renameSync(this.#fileOf(from), this.#fileOf(to));
    } catch {
      // Another window was first, or it stays where it is.
      return undefined;
    }
    this.#values.delete(from);
    return this.get(to);
  }

  #read(key: string): unknown {
    try {
      return JSON.parse(readFileSync(this.#fileOf(key), "utf8"));
    } catch {
      // Not there, or damaged: nothing is known of it.
      return undefined;
    }
  }

  #fileOf(key: string): string {
    return memoryFile(this.#folder, key);
  }
}

/** The file of a key. */
export function memoryFile(folder: string, key: string): string {
  return join(folder, encodeURIComponent(key) + ENDING);
}

/** The key of what is remembered of a file or folder: keys are names of files, which are short. */
export function pathKey(prefix: string, path: string): string {
  return `${prefix}.${createHash("sha256").update(path).digest("hex").slice(0, 32)}`;
}

/** The name of a workspace's folder, among those of others. */
export function workspaceName(uri: string): string {
  return createHash("sha256").update(uri).digest("hex").slice(0, 32);
}

/** The key of a file's name; none of one that is not ours. */
function keysOf(name: string): string[] {
  if (!name.endsWith(ENDING)) return [];
  try {
    return [decodeURIComponent(name.slice(0, -ENDING.length))];
  } catch {
    return [];
  }
}

function fileNames(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
