import { optionProblems } from "./check-options.ts";
import { generateOptionsSchema } from "./options.ts";

/** A job of a batch file: one JSON object of generate's options a line. */
export interface BatchJob {
  /** From 1. */
  readonly line: number;
  readonly options: Readonly<Record<string, unknown>>;
}

/** What is wrong with a line. */
export interface BatchProblem {
  /** From 1. */
  readonly line: number;
  /** The option, and where in its value; empty where it is the whole line. */
  readonly path: readonly PropertyKey[];
  /** True where an option is left out, which the command line or the task may give. */
  readonly missing: boolean;
  readonly message: string;
}

export interface Batch {
  readonly jobs: readonly BatchJob[];
  readonly problems: readonly BatchProblem[];
}

/**
 * Reads and checks every line of a batch file; blank lines and lines that begin with "#" are passed over.
 * @param shared options that each line has unless it says otherwise
 */
export function parseBatch(text: string, shared: Readonly<Record<string, unknown>> = {}): Batch {
  const jobs: BatchJob[] = [];
  const problems: BatchProblem[] = [];
  for (const [index, content] of text.split(/\r?\n/).entries()) {
    if (content.trim() === "" || content.trimStart().startsWith("#")) continue;
    const line = index + 1;
    const own = parseLine(content);
    if (!own) {
      problems.push({
        line,
        path: [],
        missing: false,
        message: 'It is not a JSON object of options, such as {"prompt": "red apple", "seed": 1}.',
      });
      continue;
    }
    const options = { ...shared, ...own };
    jobs.push({ line, options });
    problems.push(...optionProblems(generateOptionsSchema, options, JSON.stringify).map((problem) => ({ line, ...problem })));
  }
  return { jobs, problems };
}

function parseLine(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
