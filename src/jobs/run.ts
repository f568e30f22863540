import { bake } from "./bake.ts";
import { bench } from "./bench.ts";
import { compare } from "./compare.ts";
import type { CompareResult } from "./comparison/types.ts";
import { mergeLoras, resizeLora } from "./combined-lora.ts";
import { checkOptions } from "./check-options.ts";
import type { JobContext } from "./context.ts";
import { makeDeltaFile } from "./delta.ts";
import { doctor } from "./doctor.ts";
import type { EngineCache } from "./engine-cache.ts";
import { exportEngine } from "./export.ts";
import { extract } from "./extract.ts";
import { generate } from "./generate.ts";
import { drawGrid } from "./grid.ts";
import { inspectFile } from "./inspect.ts";
import { installTensorRtRuntime } from "./install-runtime.ts";
import {
  benchOptionsSchema,
  compareOptionsSchema,
  deltaOptionsSchema,
  doctorOptionsSchema,
  exportOptionsSchema,
  generateOptionsSchema,
  gridOptionsSchema,
  inspectOptionsSchema,
  installRuntimeOptionsSchema,
} from "./options.ts";
import { bakeOptionsSchema, extractOptionsSchema, mergeLorasOptionsSchema, resizeOptionsSchema } from "./tool-options.ts";
import type { BakeResult, CombinedLoraResult, ExtractResult } from "./tool-results.ts";
import type {
  BenchResult,
  DeltaResult,
  DoctorResult,
  ExportResult,
  GenerateResult,
  GridResult,
  InspectResult,
  InstallRuntimeResult,
} from "./results.ts";

export interface JobResults {
  readonly export: ExportResult;
  readonly delta: DeltaResult;
  readonly generate: GenerateResult;
  readonly grid: GridResult;
  readonly bake: BakeResult;
  readonly extract: ExtractResult;
  readonly resize: CombinedLoraResult;
  readonly mergeLoras: CombinedLoraResult;
  readonly inspect: InspectResult;
  readonly compare: CompareResult;
  readonly bench: BenchResult;
  readonly doctor: DoctorResult;
  readonly installRuntime: InstallRuntimeResult;
}

export type JobKind = keyof JobResults;

type Runner<Result> = (options: unknown, context: JobContext, engines: EngineCache) => Promise<Result>;

const RUNNERS: { readonly [Kind in JobKind]: Runner<JobResults[Kind]> } = {
  export: (options, context, engines) => exportEngine(checkOptions(exportOptionsSchema, options), context, engines.hasher),
  delta: (options, context, engines) => makeDeltaFile(checkOptions(deltaOptionsSchema, options), context, engines.arithmetic),
  generate: (options, context, engines) => generate(checkOptions(generateOptionsSchema, options), context, engines),
  grid: (options, context, engines) => drawGrid(checkOptions(gridOptionsSchema, options), context, engines),
  bake: (options, context, engines) => bake(checkOptions(bakeOptionsSchema, options), context, engines.arithmetic),
  inspect: (options, context, engines) => inspectFile(checkOptions(inspectOptionsSchema, options), context, engines.arithmetic),
  compare: (options, context, engines) => compare(checkOptions(compareOptionsSchema, options), context, engines.arithmetic),
  extract: (options, context) => extract(checkOptions(extractOptionsSchema, options), context),
  resize: (options, context) => resizeLora(checkOptions(resizeOptionsSchema, options), context),
  mergeLoras: (options, context) => mergeLoras(checkOptions(mergeLorasOptionsSchema, options), context),
  bench: (options, context, engines) => bench(checkOptions(benchOptionsSchema, options), context, engines),
  doctor: (options, context, engines) => {
    checkOptions(doctorOptionsSchema, options);
    return doctor(context, engines.loaded());
  },
  installRuntime: (options, context) => installTensorRtRuntime(checkOptions(installRuntimeOptionsSchema, options), context),
};

/** Runs one job. Throws "option.invalid" for options that are not the job's, else what the job throws. */
export async function runJob<Kind extends JobKind>(
  kind: Kind,
  options: unknown,
  context: JobContext,
  engines: EngineCache,
): Promise<JobResults[Kind]> {
  return RUNNERS[kind](options, context, engines);
}
