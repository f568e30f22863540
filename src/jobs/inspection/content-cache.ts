import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import type { z } from "zod";
import { writeFileAtomically } from "../../formats/atomic-file.ts";

/** Files kept in a folder; the ones that have not been used for longest go. */
const MOST_FILES = 200;

export interface CacheOptions<Value> {
  /** What an entry has to be; anything else is as good as none. */
  readonly schema: z.ZodType<Value>;
  /** Grows with every change of what an entry means. */
  readonly version: number;
}

/** Results on disk, by what they were computed from: hashes of files' contents and whatever else decides. */
export class ContentCache<Value> {
  readonly #folder: string;
  readonly #options: CacheOptions<Value>;

  constructor(folder: string, options: CacheOptions<Value>) {
    this.#folder = folder;
    this.#options = options;
  }

  /** What was computed from this; undefined where the entry is missing or cannot be read. */
  async read(source: readonly unknown[]): Promise<Value | undefined> {
    const path = this.#path(source);
    try {
      const value = this.#options.schema.parse(JSON.parse(await readFile(path, "utf8")));
      const now = new Date();
      await utimes(path, now, now);
      return value;
    } catch {
      return undefined;
    }
  }

  /** Keeps a result. A full disk, or a folder that may not be written, only means that it is computed again. */
  async write(source: readonly unknown[], value: Value): Promise<void> {
    try {
      await mkdir(this.#folder, { recursive: true });
      const text = Buffer.from(JSON.stringify(value));
      await writeFileAtomically(this.#path(source), (writer) => writer.write(text));
      await this.#prune();
    } catch {
      // See above.
    }
  }

  async #prune(): Promise<void> {
    const names = (await readdir(this.#folder)).filter((name) => name.endsWith(".json"));
    if (names.length <= MOST_FILES) return;
    const aged = await Promise.all(names.map(async (name) => ({ name, time: (await stat(join(this.#folder, name))).mtimeMs })));
    const old = aged.toSorted((a, b) => a.time - b.time).slice(0, names.length - MOST_FILES);
    for (const { name } of old) await rm(join(this.#folder, name), { force: true });
  }

  #path(source: readonly unknown[]): string {
    const key = createHash("sha256")
      .update(JSON.stringify([this.#options.version, ...source]))
      .digest("hex");
    return join(this.#folder, `${key}.json`);
  }
}
