import { randomUUID } from "node:crypto";
import type { Memory } from "../memory.ts";
import type { QueueJob, Queued } from "./queue.ts";

const PREFIX = "generation.queue.";
/** With the window that the jobs are of, and a name of its own for what that window took from another. */
const KEY = /^generation\.queue\.(\d+)(?:-.+)?$/;

/**
 * The jobs that each window of a workspace has not done yet, kept under the process id of its extension host: what a window that has ended
 * left behind is another's to take over, what one that is open has is not.
 */
export class KeptJobs<Job extends QueueJob> {
  readonly #memory: Memory;
  readonly #own: number;
  readonly #isRunning: (id: number) => boolean;
  /** Keys of what was taken and is not among this window's own jobs on the disk yet. */
  #claims: readonly string[] = [];
  readonly #taken = new Set<string>();
  #isNew = true;

  constructor(memory: Memory, own = process.pid, isRunning = isProcessRunning) {
    this.#memory = memory;
    this.#own = own;
    this.#isRunning = isRunning;
  }

  /** Keeps all jobs that this window has, those that it took among them. */
  async save(jobs: readonly Queued<Job>[]): Promise<void> {
    const claims = this.#claims;
    await this.#memory.update(PREFIX + this.#own, jobs.length === 0 ? undefined : jobs);
    // Not before they are kept: a window that ends in between leaves them twice, which `takeLeft` sees.
    this.#claims = this.#claims.filter((key) => !claims.includes(key));
    await Promise.all(claims.map((key) => this.#memory.update(key, undefined)));
  }

  /** Windows that have jobs and are open, or have not quite ended yet. */
  get others(): readonly number[] {
    const windows = new Set(this.#keys().map(([, id]) => id));
    return [...windows].filter((id) => id !== this.#own && this.#isRunning(id));
  }

  /** Takes what windows left that have ended; their jobs are then this window's to save. Of several windows that do so, one has each job. */
  takeLeft(): Queued<Job>[] {
    // A window just opened has no jobs: what is under its id is of one before it.
    const left = this.#keys().filter(([, id]) => (id === this.#own ? this.#isNew : !this.#isRunning(id)));
    this.#isNew = false;
    const jobs = left.flatMap(([key]) => this.#claim(key));
    return jobs.filter(({ id }) => !this.#taken.has(id) && this.#taken.add(id));
  }

  #claim(key: string): Queued<Job>[] {
    const claim = `${PREFIX}${this.#own}-${randomUUID()}`;
    this.#claims = [...this.#claims, claim];
    const jobs = this.#memory.move(key, claim);
    return Array.isArray(jobs) ? jobs.filter((each): each is Queued<Job> => isQueued(each)) : [];
  }

  #keys(): (readonly [key: string, window: number])[] {
    return this.#memory.keys().flatMap((key) => {
      const [, id] = KEY.exec(key) ?? [];
      return id === undefined ? [] : [[key, Number(id)] as const];
    });
  }
}

/** Another version may have kept something else. */
function isQueued(value: unknown): value is Queued<QueueJob> {
  const { id, job } = (value ?? {}) as { readonly id?: unknown; readonly job?: Partial<Record<keyof QueueJob, unknown>> };
  return typeof id === "string" && typeof job?.title === "string" && typeof job.seed === "string" && typeof job.pictures === "number";
}

function isProcessRunning(id: number): boolean {
  try {
    process.kill(id, 0);
    return true;
  } catch (error) {
    // Another person's process runs, though this one may not signal it.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
