import { stat } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { UserError } from "../formats/errors.ts";
import type { WeightDtype } from "../formats/numbers.ts";
import { writeSafetensors } from "../formats/safetensors-writer.ts";
import { extractLora, type ExtractedLora } from "../lora/extract-lora.ts";
import { MatrixProducts } from "../lora/linear-algebra/matrix-products.ts";
import { pairModules } from "../lora/module-pairs.ts";
import type { Architecture } from "../models/architecture.ts";
import { openCheckpoint } from "../models/open-checkpoint.ts";
import type { JobContext } from "./context.ts";
import { checkSafetensorsOutput } from "./output-files.ts";
import { stageProgress } from "./timing.ts";
import type { ExtractOptions } from "./tool-options.ts";
import type { ExtractResult } from "./tool-results.ts";

const DTYPE: Readonly<Record<ExtractOptions["dtype"], WeightDtype>> = { fp16: "F16", bf16: "BF16", fp32: "F32" };

/** As sd-scripts and the model specification name them in LoRA files. */
const BASE_NAMES: Readonly<Partial<Record<Architecture, readonly [base: string, specification: string]>>> = {
  sd1: ["sd_v1", "stable-diffusion-v1"],
  sd2: ["sd_v2", "stable-diffusion-v2-768-v"],
  sdxl: ["sdxl_base_v1-0", "stable-diffusion-xl-v1-base"],
};

/** The rank of each layer unless told. */
const DEFAULT_RANK = 32;

/** Makes a LoRA of two checkpoints: what the second has learned over the first. */
export async function extract(options: ExtractOptions, context: JobContext): Promise<ExtractResult> {
  const file = resolve(options.output);
  await checkSafetensorsOutput(file, options.overwrite, [options.original, options.tuned]);
  context.progress({ stage: "reading the checkpoints", fraction: 0 });
  const [base, tuned] = [await openCheckpoint(options.original), await openCheckpoint(options.tuned)];
  const pairs = pairModules(base, tuned, options.components);
  const { rank, energy } = options;
  const found = await extractLora(pairs, new MatrixProducts(), {
    truncation: rank === undefined && energy === undefined ? { rank: DEFAULT_RANK } : { rank, energy },
    dtype: DTYPE[options.dtype],
    signal: context.signal,
    onProgress: stageProgress(context, "decomposing"),
  });
  if (found.tensors.length === 0) throw nothingFound(options, found);
  const metadata = { ...describeLora(base.architecture, found), extracted_from: describeSources(options) };
  await writeSafetensors(file, found.tensors, metadata, {
    signal: context.signal,
    onProgress: stageProgress(context, "writing the LoRA"),
  });
  const warnings = warningsOf([...pairs.missing, ...found.skipped]);
  for (const warning of warnings) context.log("warn", warning);
  const { layers, error, differences } = found;
  return { file, bytes: (await stat(file)).size, layers, error, differences, warnings };
}

function nothingFound({ original, tuned, components }: ExtractOptions, { skipped }: ExtractedLora): UserError {
  const [first] = skipped;
  const what = components ? ` in ${components.join(", ")}` : "";
  const reason = first ? `differ in nothing that a LoRA can hold ("${first.name}": ${first.reason})` : `hold the same weights${what}`;
  return new UserError("lora.noChange", `${original} and ${tuned} ${reason}. Give the checkpoint before training and that after it.`);
}

/** One sentence a reason; the names are counted, not listed. */
function warningsOf(findings: readonly { readonly name: string; readonly reason: string }[]): string[] {
  const byReason = new Map<string, string[]>();
  for (const { name, reason } of findings) byReason.set(reason, [...(byReason.get(reason) ?? []), name]);
  return Array.from(byReason, ([reason, names]) => `${names.length} modules are not in the LoRA, such as ${names[0]}: ${reason}`);
}

function describeLora(architecture: Architecture, { layers }: ExtractedLora): Record<string, string> {
  const ranks = new Set(layers.map(({ rank }) => rank));
  const rank = ranks.size === 1 ? String([...ranks][0]) : "Dynamic";
  const names = BASE_NAMES[architecture];
  return {
    ss_network_module: "networks.lora",
    ...(layers.length > 0 && { ss_network_dim: rank, ss_network_alpha: rank }),
    ...(names && { ss_base_model_version: names[0], "modelspec.architecture": `${names[1]}/lora` }),
  };
}

function describeSources({ original, tuned }: ExtractOptions): string {
  return JSON.stringify({ original: basename(original), tuned: basename(tuned) });
}
