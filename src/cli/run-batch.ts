import { relative } from "node:path";
import { performance } from "node:perf_hooks";
import type { GenerateResult } from "../jobs/results.ts";
import { BatchResults, keysOf, type BatchEntry } from "./batch-results.ts";
import { withBatchClaimed } from "./batch-claim.ts";
import type { Command } from "./command.ts";
import { describeError } from "./output.ts";
import { milliseconds } from "./words.ts";

/** What a batch runs with. */
export interface BatchRunner {
  /** Runs one job; throws what it throws. */
  run(command: Command): Promise<GenerateResult>;
  /** True once the person has asked to stop: the jobs that are left stay for the next run. */
  isCancelled(error: unknown): boolean;
  /** Tells of a job that has ended, or was done before. */
  onJob(row: BatchRow, words: string): void;
  onError(command: Command, error: unknown): void;
}

/** One row of the table of results. */
export interface BatchRow extends Omit<BatchEntry, "key" | "state"> {
  readonly state: "done" | "skipped" | "failed";
  readonly prompt: string;
}

export interface BatchSummary {
  readonly results: string;
  readonly done: number;
  readonly skipped: number;
  readonly failed: number;
  readonly cancelled: boolean;
}

/**
 * Runs the jobs of a batch file in order and keeps their results beside it. Jobs that an earlier run has done are skipped; one that fails
 * does not end the batch, and is tried again by the next run. Throws "batch.running" where another process runs the file.
 */
export function runBatch(path: string, commands: readonly Command[], overwrite: boolean, runner: BatchRunner): Promise<BatchSummary> {
  return withBatchClaimed(path, () => runJobs(path, commands, overwrite, runner));
}

async function runJobs(path: string, commands: readonly Command[], overwrite: boolean, runner: BatchRunner): Promise<BatchSummary> {
  const results = await BatchResults.open(path);
  const keys = keysOf(commands);
  const counts = { done: 0, skipped: 0, failed: 0 };
  const tell = (command: Command, { key: _key, ...entry }: BatchEntry, state: BatchRow["state"]): void => {
    counts[state]++;
    const row = { ...entry, state, prompt: String(command.options["prompt"]) };
    runner.onJob(row, inColumns(row));
  };
  for (const [index, command] of commands.entries()) {
    const key = keys[index]!;
    const line = command.line!;
    const before = overwrite ? undefined : await results.done(key);
    if (before) {
      tell(command, { ...before, line }, "skipped");
      continue;
    }
    // What a killed run has left of this very job is no reason to refuse it now.
    const again = results.wasKilled(key) ? { ...command, options: { ...command.options, overwrite: true } } : command;
    await results.add({ key, line, state: "started" });
    const started = performance.now();
    try {
      const { images, seed } = await runner.run(again);
      const entry: BatchEntry = {
        key,
        line,
        state: "done",
        images: [...images],
        seed,
        milliseconds: Math.round(performance.now() - started),
      };
      await results.add(entry);
      tell(command, entry, "done");
    } catch (error) {
      const entry: BatchEntry = { key, line, state: "failed", error: describeError(error).message };
      await results.add(entry);
      runner.onError(command, error);
      if (runner.isCancelled(error)) return { results: results.path, ...counts, cancelled: true };
      tell(command, entry, "failed");
    }
  }
  return { results: results.path, ...counts, cancelled: false };
}

/** The heads of the table's columns. */
export const BATCH_HEADING = columns("line", "state", "time", "seed", "picture");

function inColumns({ line, state, milliseconds: time, seed, images = [], error, prompt }: BatchRow): string {
  const [first = "", ...others] = images.map((image) => relative(process.cwd(), image));
  const picture = others.length === 0 ? first : `${first} and ${others.length} more`;
  return columns(String(line), state, time === undefined ? "" : milliseconds(time), seed ?? "", error ?? `${picture}  ${prompt}`);
}

function columns(line: string, state: string, time: string, seed: string, rest: string): string {
  return `${line.padStart(5)}  ${state.padEnd(7)}  ${time.padStart(8)}  ${seed.padStart(20)}  ${rest.replace(/\s+/g, " ").trim()}`;
}
