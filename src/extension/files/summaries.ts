import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { FileSummary } from "../../worker/protocol.ts";
import { replaceFile } from "../replaceFile.ts";
import type { FoundFile } from "./scan.ts";

interface Entry {
  readonly bytes: number;
  readonly modified: number;
  readonly summary: FileSummary;
}

/** What is kept: another version of the extension may describe files otherwise. */
interface Stored {
  readonly version: string;
  readonly entries: Readonly<Record<string, Entry>>;
}

/** What files' headers said, kept on disk: a header is read once as long as its file's size and date stay the same. */
export class SummaryStore {
  readonly #file: string | undefined;
  readonly #version: string;
  #entries: Promise<Map<string, Entry>> | undefined;
  #writing: Promise<void> = Promise.resolve();
  #hasChanged = false;

  /** @param folder undefined: nothing is kept beyond this session, as where no folder is open */
  constructor(folder: string | undefined, version: string) {
    this.#file = folder === undefined ? undefined : join(folder, "summaries.json");
    this.#version = version;
  }

  /** The summary of a file in this state. */
  async get({ path, bytes, modified }: FoundFile): Promise<FileSummary | undefined> {
    const entry = (await this.#load()).get(path);
    return entry?.bytes === bytes && entry.modified === modified ? entry.summary : undefined;
  }

  async set({ path, bytes, modified }: FoundFile, summary: FileSummary): Promise<void> {
    (await this.#load()).set(path, { bytes, modified, summary });
    this.#hasChanged = true;
  }

  /** Writes what is new, without the files that are gone; what could not be written is tried again by the next call. */
  save(present: ReadonlySet<string>): Promise<void> {
    const write = (): Promise<void> => this.#save(present);
    this.#writing = this.#writing.then(write, write);
    return this.#writing;
  }

  async #save(present: ReadonlySet<string>): Promise<void> {
    if (this.#file === undefined || !this.#hasChanged) return;
    this.#hasChanged = false;
    const entries = [...(await this.#load())].filter(([path]) => present.has(path));
    const stored: Stored = { version: this.#version, entries: Object.fromEntries(entries) };
    try {
      await replaceFile(this.#file, JSON.stringify(stored));
    } catch (error) {
      this.#hasChanged = true;
      throw error;
    }
  }

  #load(): Promise<Map<string, Entry>> {
    return (this.#entries ??= this.#read());
  }

  async #read(): Promise<Map<string, Entry>> {
    if (this.#file === undefined) return new Map();
    try {
      const stored = JSON.parse(await readFile(this.#file, "utf8")) as Stored;
      return stored.version === this.#version ? new Map(Object.entries(stored.entries)) : new Map();
    } catch {
      // Missing or damaged: the headers are read again.
      return new Map();
    }
  }
}
