import { readFile } from "node:fs/promises";
import { UserError } from "../formats/errors.ts";
import { readError } from "../formats/random-access-file.ts";
import { checkOptions } from "../jobs/check-options.ts";
import { generateOptionsSchema } from "../jobs/options.ts";
import { splitOptions, type Command } from "./command.ts";

/** Reads a file of jobs, one JSON object of generate's options a line; blank lines and lines that begin with "#" are passed over. */
export async function readBatch(path: string, shared: Readonly<Record<string, unknown>>): Promise<Command[]> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw readError(path, error);
  });
  const commands = text.split(/\r?\n/).flatMap((line, index): Command[] => {
    if (line.trim() === "" || line.trimStart().startsWith("#")) return [];
    const options = parseLine(line);
    if (!options) {
      throw new UserError(
        "option.invalid",
        `${path}, line ${index + 1}: it is not a JSON object of options, such as {"prompt": "red apple", "seed": 1}.`,
      );
    }
    const command: Command = { kind: "generate", options: { ...shared, ...options }, file: path, line: index + 1 };
    checkLine(command);
    return [command];
  });
  if (commands.length === 0) throw new UserError("option.invalid", `${path} holds no jobs. Write one JSON object a line.`);
  return commands;
}

/** All lines are checked before the first job runs: a mistake in the last one is not found after an hour. */
function checkLine(command: Command): void {
  try {
    checkOptions(generateOptionsSchema, splitOptions(command).job);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(error.code, `${command.file}, line ${command.line}: ${error.message}`, { cause: error });
  }
}

function parseLine(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
