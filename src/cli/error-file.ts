import { existsSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../formats/errors.ts";
import type { Command } from "./command.ts";

/** Options that hold paths, those within LoRAs included. */
const PATH_OPTIONS: ReadonlySet<string> = new Set(
  "checkpoint engine original tuned base lora a b file image latents output saveLatents timingCache".split(" "),
);
/** What a folder is known by: editors open files alone. */
const FOLDER_FILES = ["engine.json", "model_index.json"];

/**
 * The file that an error is about: that of the error, else the one among the command's that its sentence names, else the command's own.
 * A folder is told by the file that says what it is.
 */
export function fileOfError(error: unknown, { options, file }: Pick<Command, "options" | "file">): string | undefined {
  const message = error instanceof Error ? error.message : "";
  const named = pathsIn(options).filter((path) => message.includes(path));
  const longest = named.reduce<string | undefined>(
    (best, path) => (best !== undefined && best.length >= path.length ? best : path),
    undefined,
  );
  const path = (error instanceof UserError ? error.path : undefined) ?? longest ?? file;
  return path === undefined ? undefined : (FOLDER_FILES.map((name) => join(path, name)).find((inside) => existsSync(inside)) ?? path);
}

function pathsIn(options: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(options).flatMap(([option, value]) => (PATH_OPTIONS.has(option) ? pathsOf(value) : []));
}

function pathsOf(value: unknown): string[] {
  if (typeof value === "string") return value === "" ? [] : [value];
  if (Array.isArray(value)) return value.flatMap(pathsOf);
  return typeof value === "object" && value !== null ? pathsIn(value as Readonly<Record<string, unknown>>) : [];
}
