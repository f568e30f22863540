import { spawn } from "node:child_process";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
const PEAK_MEMORY = new URL("peak-memory.mjs", import.meta.url).href;

export interface Measured {
  /** From the start of the process to its end. */
  readonly milliseconds: number;
  /** The largest resident memory, in bytes. */
  readonly peak: number;
  /** The command's result object. */
  readonly result: Record<string, unknown>;
}

/** Runs one command of the bundled command line in a process of its own; throws where it fails. */
export async function runCommand(...args: readonly string[]): Promise<Measured> {
  const started = performance.now();
  const child = spawn(process.execPath, ["--import", PEAK_MEMORY, CLI, ...args, "--json"], { stdio: ["ignore", "pipe", "pipe", "pipe"] });
  const texts = ["", "", "", ""];
  child.stdio.forEach((stream, index) => stream?.on("data", (chunk) => (texts[index] += String(chunk))));
  const code = await new Promise((resolve) => child.on("close", resolve));
  const milliseconds = performance.now() - started;
  if (code !== 0) throw new Error(`${args.join(" ")} ended with ${String(code)}: ${texts[2]}`);
  const result = JSON.parse(texts[1]!.trimEnd().split("\n").at(-1)!) as Record<string, unknown>;
  return { milliseconds, peak: Number(texts[3]) * 1024, result };
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}
