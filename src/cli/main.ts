import { CommanderError } from "commander";
import { constants } from "node:os";
import { chooseArithmetic, chooseHasher } from "../engines/arithmetic.ts";
import { UserError } from "../formats/errors.ts";
import { EngineCache } from "../jobs/engine-cache.ts";
import { runJob } from "../jobs/run.ts";
import { readBatch } from "./batch.ts";
import { splitOptions, type Command } from "./command.ts";
import { Output } from "./output.ts";
import { makeProgram } from "./program.ts";
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
    output.error(error, command.file, command.line);
    process.exitCode = exitCode(error);
    return false;
  }
}

/** In order, on one loaded engine; the first that fails ends the batch. */
async function performBatch(path: string, shared: Readonly<Record<string, unknown>>): Promise<void> {
  let commands: Command[];
  try {
    commands = await readBatch(path, shared);
  } catch (error) {
    new Output(splitOptions({ kind: "generate", options: shared, file: path }).common).error(error, path);
    process.exitCode = exitCode(error);
    return;
  }
  for (const command of commands) if (!(await perform(command))) return;
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
  const program = makeProgram({ perform: async (command) => void (await perform(command)), performBatch });
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
