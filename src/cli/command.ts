import type { JobKind } from "../jobs/run.ts";

/** A command as the terminal gave it; the job checks the options. */
export interface Command {
  readonly kind: JobKind;
  /** The job's options and the ones that all commands have. */
  readonly options: Readonly<Record<string, unknown>>;
  /** The file that an error is most likely about. */
  readonly file: string | undefined;
  /** The line of it, where the file lists commands. */
  readonly line?: number;
}

/** What is said of how to run and report, not of what to do. */
export interface CommonOptions {
  readonly json: boolean;
  readonly logLevel: "error" | "warn" | "info" | "debug";
}

const TAKES_BACKEND: ReadonlySet<JobKind> = new Set(["export", "delta", "generate", "grid", "bench"]);

/** Takes the options that all commands have away from the job's own. */
export function splitOptions({ kind, options }: Command): { readonly common: CommonOptions; readonly job: Record<string, unknown> } {
  const { json, logLevel, backend, ...rest } = options;
  const job = backend !== undefined && TAKES_BACKEND.has(kind) ? { ...rest, backend } : rest;
  return { common: { json: json === true, logLevel: (logLevel as CommonOptions["logLevel"] | undefined) ?? "warn" }, job };
}
