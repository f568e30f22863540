import { stderr, stdout } from "node:process";
import { cancelled, UserError } from "../formats/errors.ts";
import type { JobContext, Progress } from "../jobs/context.ts";

export type LogLevel = "error" | "warn" | "info" | "debug";

const LEVELS: readonly LogLevel[] = ["error", "warn", "info", "debug"];

/**
 * What a terminal or a script sees of a job. With `json`: one JSON object a line on stdout, the result last. Without: the
 * result in words on stdout, a progress bar on stderr where that is a terminal.
 */
export class Output {
  readonly #json: boolean;
  readonly #level: LogLevel;
  #barShown = false;

  constructor(options: { readonly json: boolean; readonly logLevel: LogLevel }) {
    this.#json = options.json;
    this.#level = options.logLevel;
  }

  context(signal: AbortSignal): JobContext {
    return { signal, progress: (progress) => this.progress(progress), log: (level, message) => this.log(level, message) };
  }

  progress(progress: Progress): void {
    if (this.#json) return this.#line({ type: "progress", ...progress });
    if (!stderr.isTTY) return;
    this.#clearBar();
    stderr.write(bar(progress, stderr.columns ?? 80));
    this.#barShown = true;
  }

  log(level: LogLevel, message: string): void {
    if (LEVELS.indexOf(level) > LEVELS.indexOf(this.#level)) return;
    this.#clearBar();
    stderr.write(`${level}: ${message}\n`);
  }

  /** @param words what a person reads instead of the object */
  result(result: object, words: readonly string[]): void {
    this.#clearBar();
    if (this.#json) this.#line({ type: "result", ...result });
    else for (const line of words) stdout.write(`${line}\n`);
  }

  /** Words that a script has no use for. */
  say(words: string): void {
    if (!this.#json) stdout.write(`${words}\n`);
  }

  /** One of several jobs, before the result of all of them. */
  job(row: object, words: string): void {
    this.#clearBar();
    if (this.#json) this.#line({ type: "job", ...row });
    else stdout.write(`${words}\n`);
  }

  /**
   * One line that a problem matcher can read: `FILE:LINE:1: error: MESSAGE [CODE]` where a file is known.
   * @param lineNumber in files that list jobs
   */
  error(error: unknown, file: string | undefined, lineNumber?: number): void {
    this.#clearBar();
    const { code, message } = describeError(error);
    const place = { ...(file !== undefined && { file }), ...(lineNumber !== undefined && { line: lineNumber }) };
    if (this.#json) this.#line({ type: "error", code, message, ...place });
    stderr.write(
      file === undefined ? `tensorrt-redux: error: ${message} [${code}]\n` : `${file}:${lineNumber ?? 1}:1: error: ${message} [${code}]\n`,
    );
    this.#stack(error);
  }

  /** The end of what a person has cancelled. It names no file: a problem matcher has nothing to point at. */
  cancelled(error: unknown): void {
    this.#clearBar();
    const { code, message } = describeError(cancelled());
    if (this.#json) this.#line({ type: "error", code, message });
    stderr.write(`tensorrt-redux: ${message}\n`);
    this.#stack(error);
  }

  #stack(error: unknown): void {
    if (this.#level === "debug" && error instanceof Error && error.stack) stderr.write(`${error.stack}\n`);
  }

  #line(object: object): void {
    stdout.write(`${JSON.stringify(object)}\n`);
  }

  #clearBar(): void {
    if (!this.#barShown) return;
    stderr.write("\r\x1b[K");
    this.#barShown = false;
  }
}

/** The code and the one line of any error; what was not thrown on purpose is "internal". */
export function describeError(error: unknown): { readonly code: string; readonly message: string } {
  const text = (error instanceof Error ? error.message : String(error)).replaceAll(/\s*[\r\n]+\s*/g, " ");
  return error instanceof UserError ? { code: error.code, message: text } : { code: "internal", message: `Unexpected error: ${text}` };
}

const BAR_WIDTH = 24;

function bar({ stage, fraction, message, secondsLeft }: Progress, columns: number): string {
  const filled = fraction === undefined ? 0 : Math.round(fraction * BAR_WIDTH);
  const graphic = fraction === undefined ? "" : `[${"#".repeat(filled)}${"-".repeat(BAR_WIDTH - filled)}] ${Math.round(fraction * 100)}% `;
  const left = secondsLeft === undefined ? "" : ` ${formatSeconds(secondsLeft)} left`;
  return `${graphic}${stage}${message === undefined ? "" : ` ${message}`}${left}`.slice(0, Math.max(10, columns - 1));
}

function formatSeconds(seconds: number): string {
  const whole = Math.ceil(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}
