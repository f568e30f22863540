import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll } from "vitest";
import { chooseArithmetic, chooseHasher } from "../../src/engines/arithmetic.ts";
import { UserError } from "../../src/formats/errors.ts";
import { writeSafetensors, type TensorSource } from "../../src/formats/safetensors-writer.ts";
import { SafetensorsFile } from "../../src/formats/safetensors.ts";
import type { JobContext, Progress } from "../../src/jobs/context.ts";
import { EngineCache } from "../../src/jobs/engine-cache.ts";
import { runJob, type JobKind, type JobResults } from "../../src/jobs/run.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const DEMO = join(ROOT, "demo/emoji-xl");
export const CHECKPOINT = join(DEMO, "emoji-xl.safetensors");
export const INK = join(DEMO, "ink.safetensors");
export const HUE = join(DEMO, "opposite-hue.safetensors");
export const REFERENCE = join(DEMO, "reference");
export const LORAS: Readonly<Record<string, string>> = { ink: INK, "opposite-hue": HUE };

/** A folder that is gone after the file's tests. */
export function temporaryFolder(parent = tmpdir()): string {
  const folder = mkdtempSync(join(parent, "tensorrt-redux-test-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export interface RecordingContext extends JobContext {
  readonly stages: Progress[];
  readonly logged: string[];
}

/** A context that keeps what a job reports. */
export function recordingContext(options: { signal?: AbortSignal; onProgress?: (progress: Progress) => void } = {}): RecordingContext {
  const stages: Progress[] = [];
  const logged: string[] = [];
  return {
    ...(options.signal && { signal: options.signal }),
    stages,
    logged,
    progress: (progress) => {
      stages.push(progress);
      options.onProgress?.(progress);
    },
    log: (level, message) => logged.push(`${level}: ${message}`),
  };
}

export function newEngines(): EngineCache {
  return new EngineCache(chooseArithmetic(), chooseHasher());
}

/** Runs a job; throws what it throws. */
export function run<Kind extends JobKind>(
  kind: Kind,
  options: object,
  engines: EngineCache = newEngines(),
  context: JobContext = recordingContext(),
): Promise<JobResults[Kind]> {
  return runJob(kind, options, context, engines);
}

/** The error that a job ends with. */
export async function failure(job: Promise<unknown>): Promise<UserError> {
  try {
    await job;
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
  throw new Error("The job did not fail.");
}

/** Every file and folder under a folder, hidden ones included. */
export function filesUnder(folder: string): string[] {
  return (readdirSync(folder, { recursive: true }) as string[]).toSorted();
}

/** Writes a copy of a safetensors file; `change` gives a tensor's new source, or undefined to leave it out. */
export async function rewriteSafetensors(
  from: string,
  to: string,
  change: (tensor: TensorSource) => TensorSource | undefined | Promise<TensorSource | undefined>,
  metadata?: Readonly<Record<string, string>>,
): Promise<void> {
  const file = await SafetensorsFile.open(from);
  try {
    const tensors: TensorSource[] = [];
    for (const { name, dtype, shape } of file.tensors.values()) {
      const source = await change({
        name,
        dtype,
        shape,
        chunks: async function* () {
          yield await file.readBytes(name);
        },
      });
      if (source) tensors.push(source);
    }
    await writeSafetensors(to, tensors, metadata ?? Object.fromEntries(file.metadata));
  } finally {
    await file.close();
  }
}

export interface CliResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** stdout's lines as JSON. */
  readonly lines: readonly Record<string, unknown>[];
}

export interface CliOptions {
  readonly cwd?: string;
  /** Called with the process and all that it has written to stdout, whenever that grows. */
  readonly onOutput?: (child: ChildProcess, stdout: string) => void;
}

/** Runs the command line in a process of its own. */
export function cli(args: readonly string[], { cwd = ROOT, onOutput }: CliOptions = {}): Promise<CliResult> {
  const child = spawn(process.execPath, [join(ROOT, "src/cli/main.ts"), ...args], { cwd, stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (data: Buffer) => {
    stdout += data.toString();
    onOutput?.(child, stdout);
  });
  child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      const json = args.includes("--json") ? stdout.split("\n").filter((line) => line.endsWith("}")) : [];
      resolve({ code, signal, stdout, stderr, lines: json.map((line) => JSON.parse(line) as Record<string, unknown>) });
    });
  });
}
