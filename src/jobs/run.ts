import { z } from "zod";
import { UserError } from "../formats/errors.ts";
import { bench } from "./bench.ts";
import type { JobContext } from "./context.ts";
import { makeDeltaFile } from "./delta.ts";
import { doctor } from "./doctor.ts";
import type { EngineCache } from "./engine-cache.ts";
import { exportEngine } from "./export.ts";
import { generate } from "./generate.ts";
import { inspectFile } from "./inspect.ts";
import {
  benchOptionsSchema,
  deltaOptionsSchema,
  doctorOptionsSchema,
  exportOptionsSchema,
  generateOptionsSchema,
  inspectOptionsSchema,
} from "./options.ts";
import type { BenchResult, DeltaResult, DoctorResult, ExportResult, GenerateResult, InspectResult } from "./results.ts";

export interface JobResults {
  readonly export: ExportResult;
  readonly delta: DeltaResult;
  readonly generate: GenerateResult;
  readonly inspect: InspectResult;
  readonly bench: BenchResult;
  readonly doctor: DoctorResult;
}

export type JobKind = keyof JobResults;

type Runner<Result> = (options: unknown, context: JobContext, engines: EngineCache) => Promise<Result>;

const RUNNERS: { readonly [Kind in JobKind]: Runner<JobResults[Kind]> } = {
  export: (options, context, engines) => exportEngine(checked(exportOptionsSchema, options), context, engines.hasher),
  delta: (options, context, engines) => makeDeltaFile(checked(deltaOptionsSchema, options), context, engines.arithmetic),
  generate: (options, context, engines) => generate(checked(generateOptionsSchema, options), context, engines),
  inspect: (options, context) => inspectFile(checked(inspectOptionsSchema, options), context),
  bench: (options, context, engines) => bench(checked(benchOptionsSchema, options), context, engines),
  doctor: (options, context) => {
    checked(doctorOptionsSchema, options);
    return doctor(context);
  },
};

/** Runs one job. Throws "option.invalid" for options that are not the job's, else what the job throws. */
export function runJob<Kind extends JobKind>(
  kind: Kind,
  options: unknown,
  context: JobContext,
  engines: EngineCache,
): Promise<JobResults[Kind]> {
  return RUNNERS[kind](options, context, engines);
}

function checked<Schema extends z.ZodType>(schema: Schema, options: unknown): z.output<Schema> {
  const parsed = schema.safeParse(options);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  const place = issue.path.map(String).join(".");
  throw new UserError(
    "option.invalid",
    place === "" ? `The options are not valid: ${issue.message}.` : `Option "${place}": ${issue.message}.`,
  );
}
