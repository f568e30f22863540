import { stat } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { UserError } from "../formats/errors.ts";
import { writeSafetensors, type TensorSource } from "../formats/safetensors-writer.ts";
import { SafetensorsFile } from "../formats/safetensors.ts";
import { combineLoras, type CombinedLayer, type CombinedLoras, type WeightedLora } from "../lora/combine-loras.ts";
import { KohyaNames } from "../lora/kohya-names.ts";
import { parseLoraKey } from "../lora/lora-keys.ts";
import { LoraFile } from "../lora/lora-file.ts";
import { stackScales } from "../lora/strengths.ts";
import type { JobContext } from "./context.ts";
import type { LoraReference } from "./options.ts";
import { checkSafetensorsOutput } from "./output-files.ts";
import { stageProgress } from "./timing.ts";
import type { MergeLorasOptions, ResizeOptions } from "./tool-options.ts";
import type { CombinedLoraResult } from "./tool-results.ts";

/**
 * Writes a LoRA with smaller ranks (see `combineLoras`). Changes that have no rank (full differences, norms) and kinds other than LoRA
 * stay as they are.
 */
export async function resizeLora(options: ResizeOptions, context: JobContext): Promise<CombinedLoraResult> {
  const output = resolve(options.output);
  await checkSafetensorsOutput(output, options.overwrite, [options.lora]);
  const lora = await LoraFile.open(options.lora);
  try {
    if (!lora.updates.some(({ kind }) => kind === "lowRank")) throw nothingToResize(lora);
    const names = new KohyaNames([lora]);
    const { rank, energy } = options;
    const combined = await combineLoras([{ lora, scaleOf: () => 1 }], names, {
      truncation: { rank, energy },
      signal: context.signal,
      onProgress: stageProgress(context, "decomposing"),
    });
    const file = await SafetensorsFile.open(options.lora);
    try {
      const others = otherKinds(lora, file);
      const metadata = { ...resizedMetadata(file.metadata, combined.layers), ...rankMetadata(combined.layers) };
      await writeSafetensors(output, [...combined.tensors, ...others.tensors], metadata, {
        signal: context.signal,
        onProgress: stageProgress(context, "writing the LoRA"),
      });
      return await report(output, combined, [...leftOut(lora), ...others.warnings], context);
    } finally {
      await file.close();
    }
  } finally {
    await lora.close();
  }
}

/** Sums LoRAs into one file: exactly, or to a smaller rank with the error stated. */
export async function mergeLoras(options: MergeLorasOptions, context: JobContext): Promise<CombinedLoraResult> {
  const output = resolve(options.output);
  await checkSafetensorsOutput(
    output,
    options.overwrite,
    options.lora.map(({ file }) => file),
  );
  const loras: LoraFile[] = [];
  try {
    for (const { file } of options.lora) loras.push(await LoraFile.open(file));
    for (const lora of loras) refuseOtherKinds(lora);
    const names = new KohyaNames(loras);
    const weighted = options.lora.map((reference, index) => weightedLora(loras[index]!, reference, names));
    const { rank, energy } = options;
    const combined = await combineLoras(weighted, names, {
      truncation: rank === undefined && energy === undefined ? undefined : { rank, energy },
      signal: context.signal,
      onProgress: stageProgress(context, "merging"),
    });
    if (combined.tensors.length === 0) {
      throw new UserError("lora.noChange", `${output} would change nothing: every scale is 0. Give other scales.`);
    }
    const metadata = { ...commonMetadata(loras), ...rankMetadata(combined.layers), merged_loras: describeMerged(options.lora) };
    await writeSafetensors(output, combined.tensors, metadata, {
      signal: context.signal,
      onProgress: stageProgress(context, "writing the LoRA"),
    });
    return await report(output, combined, loras.flatMap(leftOut), context);
  } finally {
    for (const lora of loras) await lora.close();
  }
}

async function report(
  file: string,
  { layers, error }: CombinedLoras,
  warnings: readonly string[],
  context: JobContext,
): Promise<CombinedLoraResult> {
  for (const warning of warnings) context.log("warn", warning);
  const shown = layers.map(({ name, from, to, error: own }) => ({ name, from, to, error: own }));
  return { file, bytes: (await stat(file)).size, layers: shown, error, warnings };
}

/** Scales of text encoders and blocks go by single-file names, which only a known model has. */
function weightedLora(lora: LoraFile, reference: LoraReference, names: KohyaNames): WeightedLora {
  const { scale, weightScale } = stackScales(reference);
  const scaleOf = (module: string): number => {
    if (!weightScale) return scale;
    const target = names.target(module);
    if (target) return scale * weightScale(target.weight);
    throw new UserError(
      "option.invalid",
      `${lora.path}: "${module}" is of no known model, so that only one scale can be given for all of the file.`,
    );
  };
  return { lora, scaleOf };
}

function refuseOtherKinds(lora: LoraFile): void {
  const other = lora.updates.find(({ kind }) => kind === "factored");
  if (!other) return;
  throw new UserError(
    "lora.unsupported",
    `${lora.path}: "${other.module}" is ${other.label}, which is no product of two factors and cannot be joined with others. ` +
      "Only LoRAs and full differences can be merged into one LoRA; bake the others into a checkpoint.",
  );
}

function nothingToResize(lora: LoraFile): UserError {
  const labels = Array.from(new Set(lora.updates.map(({ label }) => label))).join(", ");
  return new UserError("lora.unsupported", `${lora.path} holds ${labels}, and nothing whose rank could be made smaller. Give a LoRA.`);
}

/** The tensors of the modules that are of another kind than LoRA, as they are. */
function otherKinds(lora: LoraFile, file: SafetensorsFile): { readonly tensors: TensorSource[]; readonly warnings: string[] } {
  const others = lora.updates.filter(({ kind }) => kind === "factored");
  const [first] = others;
  if (!first) return { tensors: [], warnings: [] };
  if (lora.formats.some((format) => format !== "kohya")) {
    throw new UserError(
      "lora.unsupported",
      `${lora.path}: "${first.module}" is ${first.label}, which can be kept in files of kohya's and LyCORIS' formats only. Convert it first.`,
    );
  }
  const modules = new Set(others.map(({ module }) => module));
  const tensors = Array.from(file.tensors.values()).flatMap((entry) => {
    const isIts = modules.has(parseLoraKey(entry.name, modules)?.module ?? "");
    return isIts ? [{ ...entry, chunks: () => file.readPieces(entry.name) }] : [];
  });
  return { tensors, warnings: [`${modules.size} modules are of other kinds (${first.label}); they stay as they are`] };
}

function leftOut(lora: LoraFile): string[] {
  const [first] = lora.unused;
  return first ? [`${basename(lora.path)}: ${lora.unused.length} modules are left out ("${first.name}": ${first.reason})`] : [];
}

/** Hashes of the tensors as they were, and a configuration whose alpha has become each module's own. */
const STALE = new Set(["sshs_model_hash", "sshs_legacy_hash", "modelspec.hash_sha256", "lora_adapter_metadata"]);

/** As kohya's resize_lora.py writes it: what was there, with a comment. */
function resizedMetadata(old: ReadonlyMap<string, string>, layers: readonly CombinedLayer[]): Record<string, string> {
  const kept = Object.fromEntries([...old].filter(([key]) => !STALE.has(key)));
  const ranks = (list: readonly number[]) => (new Set(list).size === 1 ? String(list[0]) : `up to ${Math.max(...list)}`);
  const note = `dimension is resized from ${ranks(layers.map(({ from }) => from))} to ${ranks(layers.map(({ to }) => to))}`;
  return { ...kept, ss_training_comment: [note, ...(old.has("ss_training_comment") ? [old.get("ss_training_comment")!] : [])].join("; ") };
}

/** kohya's keys for rank and alpha, "Dynamic" where layers differ. */
function rankMetadata(layers: readonly CombinedLayer[]): Record<string, string> {
  const one = (values: readonly number[]) => (new Set(values).size === 1 ? String(values[0]) : "Dynamic");
  if (layers.length === 0) return {};
  return {
    ss_network_module: "networks.lora",
    ss_network_dim: one(layers.map(({ to }) => to)),
    ss_network_alpha: one(layers.map(({ alpha }) => Math.fround(alpha))),
  };
}

/** Keys that tell the model, where all files agree on them. */
const MODEL_KEYS = ["ss_base_model_version", "ss_v2", "modelspec.architecture", "modelspec.prediction_type"];

function commonMetadata(loras: readonly LoraFile[]): Record<string, string> {
  const shared = MODEL_KEYS.flatMap((key): [string, string][] => {
    const [value, ...others] = new Set(loras.map(({ metadata }) => metadata.get(key)));
    return value === undefined || others.length > 0 ? [] : [[key, value]];
  });
  return Object.fromEntries(shared);
}

function describeMerged(loras: readonly LoraReference[]): string {
  return JSON.stringify(loras.map(({ file, ...strengths }) => ({ file: basename(file), ...strengths })));
}
