import type { Memento } from "vscode";
import type { QueueJob, Queued } from "./queue.ts";

const PREFIX = "generation.queue.";

/**
 * The jobs that each window of a workspace has not done yet, kept under the process id of its extension host: what a window that has ended
 * left behind is another's to take over, what one that is open has is not.
 */
export class KeptJobs<Job extends QueueJob> {
  readonly #memory: Memento;
  readonly #own: number;
  readonly #isRunning: (id: number) => boolean;

  constructor(memory: Memento, own = process.pid, isRunning = isProcessRunning) {
    this.#memory = memory;
    this.#own = own;
    this.#isRunning = isRunning;
  }

  async save(jobs: readonly Queued<Job>[]): Promise<void> {
    await this.#memory.update(PREFIX + this.#own, jobs.length === 0 ? undefined : jobs);
  }

  /** Windows that have jobs and are open, or have not quite ended yet. */
  get others(): readonly number[] {
    return this.#windows().filter((id) => id !== this.#own && this.#isRunning(id));
  }

  /** Takes what windows left that have ended; their jobs are then this window's to save. */
  takeLeft(): Queued<Job>[] {
    // A window just opened has no jobs: what is under its id is of one before it.
    const left = this.#windows().filter((id) => id === this.#own || !this.#isRunning(id));
    return left.flatMap((id) => {
      const jobs = this.#memory.get<unknown>(PREFIX + id);
      // Where that fails, they are taken once more by another window.
      this.#memory.update(PREFIX + id, undefined).then(undefined, () => {});
      return Array.isArray(jobs) ? jobs.filter((each): each is Queued<Job> => isQueued(each)) : [];
    });
  }

  #windows(): number[] {
    return this.#memory.keys().flatMap((key) => (key.startsWith(PREFIX) ? [Number(key.slice(PREFIX.length))] : []));
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
