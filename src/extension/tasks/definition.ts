/*
 * Task definitions (tasks.json) to the command line's arguments. The names are the long options in camelCase, so one rule
 * serves them all and a new option needs no line here.
 */

export const TASK_COMMANDS = ["export", "delta", "generate", "bench"] as const;
export type TaskCommand = (typeof TASK_COMMANDS)[number];

/** The options that stand without a name, in order. */
const POSITIONAL: Readonly<Record<TaskCommand, readonly string[]>> = {
  export: ["checkpoint"],
  delta: ["engine", "lora"],
  generate: ["engine"],
  bench: ["engine"],
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
function loraText(lora: unknown): string {
  if (typeof lora !== "object" || lora === null) return String(lora);
  const { file, scale } = lora as { readonly file?: unknown; readonly scale?: unknown };
  return scale === undefined ? String(file) : `${String(file)}:${String(scale)}`;
}

function optionArguments(option: string, value: unknown): string[] {
  if (value === undefined || value === null || value === false) return [];
  const flag = flagOf(option);
  if (value === true) return [flag];
  // `--name=value`, because a value such as a prompt or a strength may start with a dash.
  if (option === "lora") return (Array.isArray(value) ? value : [value]).map((lora) => `${flag}=${loraText(lora)}`);
  return [`${flag}=${Array.isArray(value) ? value.join(",") : String(value)}`];
}

/**
 * The words of the command line for a definition.
 * @throws Error naming the option that is missing
 */
export function toArguments(definition: TaskDefinition): string[] {
  const positional = POSITIONAL[definition.command];
  const named: string[] = [];
  for (const [option, value] of Object.entries(definition)) {
    if (!NOT_OPTIONS.has(option) && !positional.includes(option)) named.push(...optionArguments(option, value));
  }
  const places = positional.map((option) => {
    const value = definition[option];
    if (typeof value === "string" && value !== "") return value;
    throw new Error(`The task "${definition.command}" needs "${option}", the path of a file or folder.`);
  });
  return [definition.command, ...named, "--", ...places];
}
