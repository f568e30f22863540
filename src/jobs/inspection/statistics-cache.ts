import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { writeFileAtomically } from "../../formats/atomic-file.ts";
import type { LayerStatistics } from "./types.ts";

/** Grows with every change of what a number means. */
const VERSION = 1;

/** Files kept; the ones that have not been used for longest go. */
const MOST_FILES = 200;

const optionalNumber = z.number().optional();
const statisticsSchema = z.object({
  name: z.string(),
  kind: z.string(),
  rank: optionalNumber,
  alpha: optionalNumber,
  norm: optionalNumber,
  relativeNorm: optionalNumber,
  baseNorm: optionalNumber,
  spectralNorm: optionalNumber,
  effectiveRank: optionalNumber,
  maximum: optionalNumber,
  mean: optionalNumber,
  sparsity: optionalNumber,
  nan: z.number(),
  infinite: z.number(),
  reason: z.string().optional(),
});
const fileSchema = z.record(z.string(), statisticsSchema);

/** Statistics on disk, by what the files hold: the file's SHA-256 and the base's fingerprint. */
export class StatisticsCache {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** What is known of a file's layers, by name; nothing where the entry is missing or cannot be read. */
  async read(content: string, base: string): Promise<Map<string, LayerStatistics>> {
    try {
      const parsed = fileSchema.parse(JSON.parse(await readFile(this.#path(content, base), "utf8")));
      return new Map(Object.entries(parsed) as [string, LayerStatistics][]);
    } catch {
      return new Map();
    }
  }

  /** Keeps a file's statistics. A full disk, or a folder that may not be written, only means that they are computed again. */
  async write(content: string, base: string, rows: ReadonlyMap<string, LayerStatistics>): Promise<void> {
    try {
      await mkdir(this.#folder, { recursive: true });
      const text = Buffer.from(JSON.stringify(Object.fromEntries(rows)));
      await writeFileAtomically(this.#path(content, base), (writer) => writer.write(text));
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

  #path(content: string, base: string): string {
    const key = createHash("sha256").update(`${VERSION} ${content} ${base}`).digest("hex");
    return join(this.#folder, `${key}.json`);
  }
}
