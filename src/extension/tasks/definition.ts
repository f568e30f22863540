/*
 * Task definitions (tasks.json) to the command line's arguments. The names are the long options in camelCase, so one rule
 * serves them all and a new option needs no line here.
 */

export const TASK_TYPE = "tensorrt";

export const TASK_COMMANDS = ["export", "delta", "generate", "grid", "bench", "bake", "extract", "resize", "merge-loras"] as const;
export type TaskCommand = (typeof TASK_COMMANDS)[number];

/** The options that stand without a name, in order. */
const POSITIONAL: Readonly<Record<TaskCommand, readonly string[]>> = {
  export: ["checkpoint"],
  delta: ["engine", "lora"],
  generate: ["engine"],
  grid: ["engine"],
  bench: ["engine"],
  bake: ["checkpoint"],
  extract: ["original", "tuned"],
  resize: ["lora"],
  "merge-loras": ["lora"],
};
/** What VS Code itself puts in a definition. */
const NOT_OPTIONS = new Set(["type", "command"]);

export interface TaskDefinition {
  readonly type: string;
  readonly command: TaskCommand;
  readonly [option: string]: unknown;
}

export function isTaskDefinition(definition: { readonly [key: string]: unknown; readonly type: string }): definition is TaskDefinition {
  return TASK_COMMANDS.some((command) => command === definition["command"]);
}

function flagOf(option: string): string {
  return `--${option.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** A LoRA of a list: a path, or a path and its scale. */
type Lora = string | { readonly file: string; readonly scale?: number; readonly textEncoderScale?: number; readonly blockWeights?: string };
/** An option as package.json declares it; VS Code has checked tasks.json against that. */
type Value = string | number | boolean | null | Lora | readonly (string | number | Lora)[];

function loraText(lora: Lora): string {
  if (typeof lora === "string") return lora;
  const { file, scale, textEncoderScale, blockWeights } = lora;
  // The two scales go by their places, so that the second needs the first.
  const scales = textEncoderScale === undefined ? [scale] : [scale ?? 1, textEncoderScale];
  const parts = [file, ...scales, blockWeights === undefined ? undefined : `lbw=${blockWeights}`];
  return parts.filter((part) => part !== undefined).join(":");
}

function optionArguments(option: string, value: Value | undefined): string[] {
  if (value === undefined || value === null || value === false) return [];
  const flag = flagOf(option);
  if (value === true) return [flag];
  // `--name=value`, because a value such as a prompt or a strength may start with a dash.
  if (option === "lora") return [value].flat().map((lora) => `${flag}=${loraText(lora as Lora)}`);
  return [`${flag}=${[value as string | number | (string | number)[]].flat().join(",")}`];
}

/**
 * The words of the command line for a definition.
 * @throws Error naming the option that is missing
 */
export function toArguments(definition: TaskDefinition): string[] {
  const positional = POSITIONAL[definition.command];
  const named: string[] = [];
  for (const [option, value] of Object.entries(definition)) {
    if (!NOT_OPTIONS.has(option) && !positional.includes(option)) named.push(...optionArguments(option, value as Value | undefined));
  }
  const places = positional.flatMap((option) => {
    const value = definition[option];
    if (typeof value === "string" && value !== "") return [value];
    if (definition.command === "merge-loras" && Array.isArray(value) && value.length > 0) return (value as Lora[]).map(loraText);
    // The lines of a file of jobs may name their engines themselves.
    if (definition.command === "generate" && definition["jobs"] !== undefined) return [];
    throw new Error(`The task "${definition.command}" needs "${option}", the path of a file or folder.`);
  });
  return [definition.command, ...named, "--", ...places];
}
