import { CommanderError } from "commander";
import { constants } from "node:os";
import { chooseArithmetic, chooseHasher } from "../engines/arithmetic.ts";
import { UserError } from "../formats/errors.ts";
import { EngineCache } from "../jobs/engine-cache.ts";
import { runJob } from "../jobs/run.ts";
import { isBatchFile } from "./batch-results.ts";
import { readBatch } from "./batch.ts";
import { splitOptions, type Command } from "./command.ts";
import { fileOfError } from "./error-file.ts";
import { Output } from "./output.ts";
import { makeProgram } from "./program.ts";
import { BATCH_HEADING, runBatch } from "./run-batch.ts";
import { inWords } from "./words.ts";

const FAILED = 1;
const WRONG_USAGE = 2;
const CANCELLED = 128 + constants.signals.SIGINT;

const controller = new AbortController();
const engines = new EngineCache(chooseArithmetic(), chooseHasher());

/** The first signal lets the job remove what it has half-written; the second ends at once. */
function cancelOn(signal: NodeJS.Signals): void {
  process.on(signal, () => {
    if (controller.signal.aborted) process.exit(CANCELLED);
    controller.abort();
  });
}

/** Runs one command; false where it failed, its error reported and the exit code set. */
async function perform(command: Command): Promise<boolean> {
  const { common, job } = splitOptions(command);
  const output = new Output(common);
  try {
    const result = await runJob(command.kind, job, output.context(controller.signal), engines);
    output.result(result, inWords(command.kind, result));
    return true;
  } catch (error) {
    report(output, error, command);
    return false;
  }
}

/** The jobs of a file in order, on one loaded engine. Unless it is a batch file, the first that fails ends them. */
async function performJobs(path: string, shared: Readonly<Record<string, unknown>>): Promise<void> {
  const output = new Output(splitOptions({ kind: "generate", options: shared, file: path }).common);
  try {
    const { commands, problems } = await readBatch(path, shared);
    for (const { line, message } of problems) report(output, new UserError("option.invalid", message), { options: {}, file: path, line });
    if (problems.length > 0) return;
    if (isBatchFile(path)) return await performBatch(path, commands, shared["overwrite"] === true, output);
    for (const command of commands) if (!(await perform(command))) return;
  } catch (error) {
    report(output, error, { options: {}, file: path });
  }
}

/** A batch file: its results are kept beside it. */
async function performBatch(path: string, commands: readonly Command[], overwrite: boolean, output: Output): Promise<void> {
  output.say(BATCH_HEADING);
  const summary = await runBatch(path, commands, overwrite, {
    run: (command) => runJob("generate", splitOptions(command).job, output.context(controller.signal), engines),
    isCancelled: (error) => exitCode(error) === CANCELLED,
    onJob: (row, words) => output.job(row, words),
    onError: (command, error) => report(output, error, command),
  });
  if (summary.cancelled) return;
  const { results, done, skipped, failed } = summary;
  output.result({ file: path, results, done, skipped, failed }, [
    `${done} done, ${skipped} skipped, ${failed} failed; the results are in ${results}`,
  ]);
}

/** An error in a file of jobs is told with its line there, any other with the file it is about; a cancelled run is no error of a file. */
function report(output: Output, error: unknown, command: Pick<Command, "options" | "file" | "line">): void {
  process.exitCode = exitCode(error);
  if (process.exitCode === CANCELLED) output.cancelled(error);
  else output.error(error, command.line === undefined ? fileOfError(error, command) : command.file, command.line);
}

function exitCode(error: unknown): number {
  if (controller.signal.aborted || (error instanceof UserError && error.code === "cancelled")) return CANCELLED;
  return error instanceof UserError && error.code === "option.invalid" ? WRONG_USAGE : FAILED;
}

/** The reader of a pipe has gone ("| head"): nobody is left to be told. */
function endWithReader(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE") throw error;
  process.exit(FAILED);
}

async function main(): Promise<void> {
  process.stdout.on("error", endWithReader);
  process.stderr.on("error", endWithReader);
  cancelOn("SIGINT");
  cancelOn("SIGTERM");
  const program = makeProgram({ perform: async (command) => void (await perform(command)), performJobs });
  program.exitOverride();
  for (const command of program.commands) command.exitOverride();
  try {
    await program.parseAsync();
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    process.exitCode = error.exitCode === 0 ? 0 : WRONG_USAGE;
  }
  await engines.unloadAll();
}

void main();
