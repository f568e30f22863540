import { stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { assertSpace } from "../formats/atomic-file.ts";
import { BakedWeights, type BakedAdapter } from "../lora/baked-weights.ts";
import type { WeightArithmetic } from "../lora/merge.ts";
import { openAdapter, type OpenedAdapter } from "../lora/opened-adapter.ts";
import { stackScales } from "../lora/strengths.ts";
import { refuseInexact, writeBaked } from "./bake-output.ts";
import { openBakeSource, readWeight, requireBakeable, type BakeSource } from "./bake-source.ts";
import { bakedBytes } from "./baked-bytes.ts";
import type { JobContext } from "./context.ts";
import { reportWarnings } from "./delta.ts";
import type { LoraReference } from "./options.ts";
import { checkSafetensorsOutput } from "./output-files.ts";
import type { LoraReport } from "./results.ts";
import { stageProgress } from "./timing.ts";
import type { BakeOptions } from "./tool-options.ts";
import type { BakeResult } from "./tool-results.ts";

/**
 * Merges a stack into a checkpoint and writes it as a new single file: each weight that the stack changes is computed in fp32 and
 * rounded once to its own dtype, every other byte is copied. One weight, and the changes of it, are in memory at a time.
 */
export async function bake(options: BakeOptions, context: JobContext, arithmetic: WeightArithmetic): Promise<BakeResult> {
  const { signal } = context;
  const file = resolve(options.output);
  await checkSafetensorsOutput(file, options.overwrite, [options.checkpoint, ...options.lora.map((lora) => lora.file)]);
  context.progress({ stage: "reading the checkpoint", fraction: 0 });
  const source = await openBakeSource(options.checkpoint);
  refuseInexact(source.checkpoint);
  await assertSpace(dirname(file), await totalBytes(source), "the baked checkpoint");
  const adapters = new Map<string, OpenedAdapter>();
  try {
    const stack = await openStack(options.lora, source, adapters, context);
    const weights = new BakedWeights(stack, arithmetic);
    const left = weights.names();
    requireBakeable(source, left);
    const report = () => options.lora.map((reference) => loraReport(reference, adapters.get(reference.file)!));
    let changed = 0;
    await writeBaked(source, file, options.lora, {
      signal,
      onProgress: stageProgress(context, "writing the checkpoint"),
      replace: async (weight) => {
        if (!left.delete(weight.name)) return undefined;
        const values = await weights.merge(weight.name, weight.shape, () => readWeight(weight), signal);
        // A file of which nothing could be used is an error, which must come before the output has its name.
        if (left.size === 0) report();
        if (!values) return undefined;
        changed++;
        return bakedBytes(weight, values);
      },
    });
    const loras = report();
    const warnings = loras.flatMap((lora) => lora.warnings);
    for (const warning of warnings) context.log("warn", warning);
    return { file, bytes: (await stat(file)).size, changed, loras, warnings };
  } finally {
    for (const adapter of adapters.values()) await adapter.close();
  }
}

/** Opens each file once, however often it stands in the stack; what is opened is put into `adapters`, also where another fails. */
async function openStack(
  references: readonly LoraReference[],
  { base, weights }: BakeSource,
  adapters: Map<string, OpenedAdapter>,
  context: JobContext,
): Promise<BakedAdapter[]> {
  const read = stageProgress(context, "reading the LoRAs");
  const stack: BakedAdapter[] = [];
  for (const [index, reference] of references.entries()) {
    const { file } = reference;
    const scales = stackScales(reference);
    read(index, references.length, file);
    const known = adapters.get(file);
    const adapter = known ?? (await openAdapter(file, base, (name) => readWeight(weights.get(name)!), context.signal));
    adapters.set(file, adapter);
    stack.push({ path: file, adapter, ...scales });
  }
  return stack;
}

function loraReport({ file, scale }: LoraReference, adapter: OpenedAdapter): LoraReport {
  const report = adapter.report();
  return {
    file,
    scale,
    matched: report.matched.length,
    unmatched: report.unmatched.map(({ name, reason }) => ({ name, reason })),
    warnings: reportWarnings(report).map((warning) => `${file}: ${warning}`),
  };
}

async function totalBytes({ checkpoint }: BakeSource): Promise<number> {
  let total = 0;
  for (const each of checkpoint.files) total += (await stat(each)).size;
  return total;
}
