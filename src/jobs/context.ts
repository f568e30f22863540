/** How far a job is; `fraction` is 0–1 where the end is known. */
export interface Progress {
  readonly stage: string;
  readonly fraction?: number;
  readonly message?: string;
  readonly secondsLeft?: number;
}

/** What every job is handed besides its options. */
export interface JobContext {
  readonly signal?: AbortSignal;
  progress(progress: Progress): void;
  log(level: "debug" | "info" | "warn" | "error", message: string): void;
}
