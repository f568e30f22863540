import { createHash } from "node:crypto";
import { open, readFile, stat } from "node:fs/promises";
import { z } from "zod";
import { writeError } from "../formats/atomic-file.ts";
import { readError } from "../formats/random-access-file.ts";
import { splitOptions, type Command } from "./command.ts";

/** A line of a results file. "started" without an end after it is a job that was killed. */
const entrySchema = z.object({
  /** Of the job's options, see `keysOf`. */
  key: z.string(),
  line: z.int(),
  state: z.enum(["started", "done", "failed"]),
  images: z.array(z.string()).optional(),
  seed: z.string().optional(),
  milliseconds: z.number().optional(),
  error: z.string().optional(),
});

export type BatchEntry = z.infer<typeof entrySchema>;

/** Batch files keep results beside them, so that a run goes on where an earlier one ended; other files of jobs are run whole each time. */
export function isBatchFile(path: string): boolean {
  return /\.tensorrt\.jsonl$/i.test(path);
}

/** "pictures.tensorrt.jsonl" -> "pictures.tensorrt.results.jsonl" */
function resultsFile(batch: string): string {
  return batch.replace(/\.jsonl$/i, ".results.jsonl");
}

/**
 * What tells a batch file's jobs apart: their options, and which of the jobs with the same options it is. Lines that are added, moved or
 * taken away leave the others' keys as they are.
 */
export function keysOf(commands: readonly Command[]): string[] {
  const seen = new Map<string, number>();
  return commands.map((command) => {
    const { overwrite: _howNotWhat, ...job } = splitOptions(command).job;
    const text = JSON.stringify(Object.entries(job).toSorted(([a], [b]) => (a < b ? -1 : 1)));
    const hash = createHash("sha256").update(text).digest("hex").slice(0, 16);
    const count = (seen.get(hash) ?? 0) + 1;
    seen.set(hash, count);
    return count === 1 ? hash : `${hash}-${count}`;
  });
}

/** The results of a batch file's jobs, one a line, appended as they come: a run that is killed loses none. */
export class BatchResults {
  readonly path: string;
  readonly #entries: Map<string, BatchEntry>;
  /** Whether the last line was cut off, by a run that was killed while it wrote. */
  #torn: boolean;

  private constructor(path: string, entries: Map<string, BatchEntry>, torn: boolean) {
    this.path = path;
    this.#entries = entries;
    this.#torn = torn;
  }

  /** Reads the results beside a batch file, where there are any; lines that are none of ours are passed over. */
  static async open(batch: string): Promise<BatchResults> {
    const path = resultsFile(batch);
    const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return "";
      throw readError(path, error);
    });
    const entries = new Map<string, BatchEntry>();
    for (const line of text.split("\n")) {
      const entry = parseEntry(line);
      if (entry) entries.set(entry.key, entry);
    }
    return new BatchResults(path, entries, text !== "" && !text.endsWith("\n"));
  }

  /** The result of a job that is done and whose pictures are still there. */
  async done(key: string): Promise<BatchEntry | undefined> {
    const entry = this.#entries.get(key);
    if (entry?.state !== "done") return undefined;
    const found = await Promise.all((entry.images ?? []).map((image) => stat(image).catch(() => undefined)));
    return found.every((each) => each?.isFile()) ? entry : undefined;
  }

  /** Whether an earlier run was killed during this job: what it has left may be replaced. */
  wasKilled(key: string): boolean {
    return this.#entries.get(key)?.state === "started";
  }

  /** Appends a line, on the disk before this resolves. Throws "disk.full" or "file.unwritable". */
  async add(entry: BatchEntry): Promise<void> {
    try {
      const handle = await open(this.path, "a");
      try {
        await handle.appendFile(`${this.#torn ? "\n" : ""}${JSON.stringify(entry)}\n`);
        await handle.datasync();
      } finally {
        await handle.close();
      }
    } catch (error) {
      throw writeError(this.path, error);
    }
    this.#torn = false;
    this.#entries.set(entry.key, entry);
  }
}

function parseEntry(line: string): BatchEntry | undefined {
  try {
    return entrySchema.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}
