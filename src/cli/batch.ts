import { readFile } from "node:fs/promises";
import { UserError } from "../formats/errors.ts";
import { readError } from "../formats/random-access-file.ts";
import { parseBatch, type BatchProblem } from "../jobs/batch-file.ts";
import { splitOptions, type Command } from "./command.ts";

/** The commands of a file of jobs, and everything that is wrong with its lines: none is run where there is anything. */
export interface ReadBatch {
  readonly commands: readonly Command[];
  readonly problems: readonly BatchProblem[];
}

/**
 * Reads a file of jobs, one JSON object of generate's options a line. All lines are checked before the first job runs: a mistake in the
 * last one is not found after an hour.
 * @param shared the options of every job, which a line may override
 */
export async function readBatch(path: string, shared: Readonly<Record<string, unknown>>): Promise<ReadBatch> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw readError(path, error);
  });
  const { common, job } = splitOptions({ kind: "generate", options: shared, file: path });
  const { jobs, problems } = parseBatch(text, job);
  if (jobs.length + problems.length === 0) throw new UserError("option.invalid", `${path} holds no jobs. Write one JSON object a line.`);
  const commands = jobs.map(({ line, options }): Command => ({ kind: "generate", options: { ...options, ...common }, file: path, line }));
  return { commands, problems };
}
