import type { z } from "zod";
import { UserError } from "../formats/errors.ts";

/** Checks a job's options. Throws "option.invalid" with a sentence that names the option as the command line writes it. */
export function checkOptions<Schema extends z.ZodType>(schema: Schema, options: unknown): z.output<Schema> {
  const parsed = schema.safeParse(options);
  if (parsed.success) return parsed.data;
  throw new UserError("option.invalid", describeIssue(parsed.error.issues[0]!, options, optionName).message);
}

/** What is wrong with one option. */
export interface OptionProblem {
  /** The option, and where in its value. */
  readonly path: readonly PropertyKey[];
  readonly missing: boolean;
  readonly message: string;
}

/**
 * Everything that is wrong with a job's options.
 * @param nameOf how an option is written where these come from
 */
export function optionProblems(schema: z.ZodType, options: unknown, nameOf: (option: string) => string): OptionProblem[] {
  const parsed = schema.safeParse(options);
  return parsed.success ? [] : parsed.error.issues.map((issue) => describeIssue(issue, options, nameOf));
}

type Issue = z.core.$ZodIssue;

function describeIssue(issue: Issue, options: unknown, nameOf: (option: string) => string): OptionProblem {
  if (issue.code === "unrecognized_keys") {
    const message = `There is no option ${issue.keys.map(nameOf).join(", ")}. Leave it out.`;
    return { path: [...issue.path, issue.keys[0]!], missing: false, message };
  }
  const { path } = issue;
  const [key] = path;
  if (key === undefined) return { path, missing: false, message: "The options are not an object." };
  const value = path.reduce<unknown>((object, step) => (object as Record<PropertyKey, unknown> | undefined)?.[step], options);
  const name = nameOf(String(key));
  const missing = value === undefined;
  return { path, missing, message: missing ? `${name} is missing. Give it.` : `${name} ${shown(value)}: it must ${demand(issue)}.` };
}

/** "cfgRescale" -> "--cfg-rescale" */
function optionName(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

function shown(value: unknown): string {
  const text = typeof value === "string" && value !== "" ? value : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

const TYPES: Readonly<Record<string, string>> = {
  int: "a whole number",
  number: "a number",
  string: "text",
  boolean: "true or false",
  array: "a list",
  tuple: "min,opt,max",
  object: "an object",
};

/** What the value must do, after "it must". */
function demand(issue: Issue): string {
  const isEmpty = issue.code === "too_small" && (issue.origin === "string" || issue.origin === "array");
  return isEmpty ? "not be empty" : `be ${wanted(issue)}`;
}

function wanted(issue: Issue): string {
  switch (issue.code) {
    case "invalid_value":
      return `one of ${issue.values.map(String).join(", ")}`;
    case "invalid_type":
      return TYPES[issue.expected] ?? issue.expected;
    case "too_small":
      return `${issue.inclusive ? "at least" : "more than"} ${issue.minimum}`;
    case "too_big":
      return issue.origin === "array" ? "min,opt,max" : `${issue.inclusive ? "at most" : "less than"} ${issue.maximum}`;
    case "invalid_format":
    case "invalid_union":
      return "a whole number";
    default:
      return issue.message;
  }
}
