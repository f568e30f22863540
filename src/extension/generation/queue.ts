import { randomUUID } from "node:crypto";
import type { JobProgress } from "../../worker/protocol.ts";
import type { QueueView } from "../../webview/generation/protocol.ts";
import { CancellationSource } from "../worker/cancellation.ts";
import { type Cancellation, WorkerError } from "../worker/connection.ts";

/** What a queue keeps of a job besides what the job itself is. */
export interface QueueJob {
  readonly title: string;
  readonly seed: string;
  readonly pictures: number;
}

export interface Queued<Job extends QueueJob> {
  readonly id: string;
  readonly job: Job;
}

export interface QueueEvents<Job extends QueueJob> {
  /** Runs a job to its end; rejects with a WorkerError. */
  readonly run: (queued: Queued<Job>, onProgress: (progress: JobProgress) => void, cancellation: Cancellation) => Promise<void>;
  /** Told all jobs that have not ended, the running one first. */
  readonly onChange: (jobs: readonly Queued<Job>[]) => void;
  readonly onProgress: (id: string, progress: JobProgress) => void;
}

/**
 * Jobs one after the other. A job that the worker's end or the window's interrupts stays the first; it and those behind it wait until a person
 * says that they go on.
 */
export class JobQueue<Job extends QueueJob> {
  readonly #events: QueueEvents<Job>;
  #waiting: Queued<Job>[] = [];
  #running: { readonly queued: Queued<Job>; readonly source: CancellationSource; progress?: JobProgress } | undefined;
  #paused: QueueView["paused"];
  #problem: string | undefined;

  constructor(events: QueueEvents<Job>) {
    this.#events = events;
  }

  get view(): QueueView {
    const describe = ({ id, job: { title, seed, pictures } }: Queued<Job>) => ({ id, title, seed, pictures });
    const running = this.#running;
    return {
      ...(running && { running: { ...describe(running.queued), ...(running.progress && { progress: running.progress }) } }),
      waiting: this.#waiting.map(describe),
      ...(this.#paused !== undefined && { paused: this.#paused }),
      ...(this.#problem !== undefined && { problem: this.#problem }),
    };
  }

  /** Takes over jobs that a window left behind: they wait before the others. */
  adopt(jobs: readonly Queued<Job>[]): void {
    if (jobs.length === 0) return;
    if (!this.#running) this.#paused = "reloaded";
    this.#set([...jobs, ...this.#waiting]);
  }

  /** Puts a job at the end; asking for another is also a word to go on. */
  add(job: Job): string {
    const id = randomUUID();
    this.#waiting.push({ id, job });
    this.continue();
    return id;
  }

  /** Stops the job that runs, or takes one that waits out. */
  cancel(id: string): void {
    if (this.#running?.queued.id === id) this.#running.source.cancel();
    else this.#set(this.#waiting.filter((queued) => queued.id !== id));
  }

  /** Lets the waiting jobs run. */
  continue(): void {
    this.#paused = undefined;
    this.#problem = undefined;
    this.#next();
  }

  /** Takes out all jobs that wait. */
  discard(): void {
    this.#problem = undefined;
    this.#set([]);
  }

  #set(waiting: Queued<Job>[]): void {
    this.#waiting = waiting;
    if (waiting.length === 0) this.#paused = undefined;
    this.#changed();
  }

  #changed(): void {
    const running = this.#running ? [this.#running.queued] : [];
    this.#events.onChange([...running, ...this.#waiting]);
  }

  #next(): void {
    const queued = this.#running || this.#paused !== undefined ? undefined : this.#waiting.shift();
    if (queued) {
      this.#running = { queued, source: new CancellationSource() };
      void this.#run(queued, this.#running.source);
    }
    this.#changed();
  }

  async #run(queued: Queued<Job>, source: CancellationSource): Promise<void> {
    const onProgress = (progress: JobProgress): void => {
      if (this.#running?.queued !== queued) return;
      // A stage without a preview of its own shows the last one.
      const preview = progress.preview ?? this.#running.progress?.preview;
      this.#running.progress = { ...progress, ...(preview && { preview }) };
      this.#events.onProgress(queued.id, progress);
    };
    try {
      await this.#events.run(queued, onProgress, source);
    } catch (error) {
      this.#fail(queued, error, source.isCancellationRequested);
    }
    this.#running = undefined;
    this.#next();
  }

  #fail(queued: Queued<Job>, error: unknown, wasCancelled: boolean): void {
    if (wasCancelled) return;
    const code = error instanceof WorkerError ? error.code : "internal";
    // Cancelled by nobody here: the worker was stopped, or the window is being closed.
    if (code === "cancelled" || code === "worker.died") {
      this.#paused = "workerDied";
      this.#waiting.unshift(queued);
      return;
    }
    this.#problem = error instanceof Error ? error.message : String(error);
  }
}
