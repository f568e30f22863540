import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { DTYPE_BITS, isDtype } from "../formats/dtype.ts";
import { readEngineBundle } from "../formats/engine-bundle.ts";
import { SafetensorsFile } from "../formats/safetensors.ts";
import { describeSelfTest } from "../formats/self-test.ts";
import { elementCount } from "../formats/tensor.ts";
import type { WeightArithmetic } from "../lora/merge.ts";
import type { JobContext } from "./context.ts";
import { describeFile } from "./describe.ts";
import { Inspections } from "./inspection/inspections.ts";
import type { InspectionTarget, LayerStatistics } from "./inspection/types.ts";
import type { InspectOptions } from "./options.ts";
import type { FileSummary, InspectResult } from "./results.ts";
import { stageProgress } from "./timing.ts";
import { throwIfCancelled, UserError } from "../formats/errors.ts";

/**
 * The header of a checkpoint, LoRA, delta or engine bundle: what it is, its metadata, its tensors; of LoRAs and deltas also what
 * each layer changes. Of checkpoints and bundles no values are read.
 */
export async function inspectFile(
  { file, base }: InspectOptions,
  context: JobContext,
  arithmetic: WeightArithmetic,
): Promise<InspectResult> {
  const found = await stat(file).catch(() => undefined);
  if (!found) throw new UserError("file.missing", `${file} does not exist.`);
  const summary = await describeFile(file);
  if (found.isDirectory()) return summary.kind === "engine bundle" ? inspectBundle(file, summary) : inspectFolder(file, summary);
  const opened = await SafetensorsFile.open(file);
  await opened.close();
  const result = assemble(file, summary, [opened]);
  if (summary.kind !== "lora" && summary.kind !== "delta") return result;
  const statistics = await allStatistics(new Inspections(arithmetic), { path: file, base }, context);
  return { ...result, statistics, notes: [...result.notes, ...nonFiniteNotes(statistics)] };
}

async function allStatistics(inspections: Inspections, target: InspectionTarget, context: JobContext): Promise<LayerStatistics[]> {
  const report = stageProgress(context, "reading the layers");
  const statistics: LayerStatistics[] = [];
  try {
    const { state, layers } = await inspections.open(target);
    for (const index of layers.keys()) {
      throwIfCancelled(context.signal);
      statistics.push(...(await inspections.statistics({ ...target, state }, [index], context.signal)));
      report(index + 1, layers.length);
    }
    return statistics;
  } finally {
    await inspections.closeAll();
  }
}

function nonFiniteNotes(statistics: readonly LayerStatistics[]): string[] {
  const bad = statistics.filter(({ nan, infinite }) => nan + infinite > 0);
  const shown = bad.slice(0, 3).map(({ name, nan, infinite }) => `${name} (${nan} NaN, ${infinite} infinite)`);
  return bad.length === 0
    ? []
    : [`${bad.length} layers have values that are no finite numbers: ${shown.join(", ")}${bad.length > 3 ? ", …" : ""}`];
}

/** The safetensors files of a bundle, under the description that engine.json gives. */
async function inspectBundle(folder: string, summary: FileSummary): Promise<InspectResult> {
  const bundle = await readEngineBundle(folder);
  const files = await openAll(bundle.weightFiles.map(({ file }) => join(folder, file)));
  const result = assemble(folder, summary, files);
  const metadata = {
    name: bundle.name,
    precision: bundle.precision,
    backend: `${bundle.backend.name} ${bundle.backend.version}`,
    checkpoint: bundle.checkpoint.name,
    fingerprint: bundle.checkpoint.fingerprint,
    ...Object.fromEntries(bundle.components.map((each) => [each.component, (each.engine ?? each.onnx)!])),
    ...Object.fromEntries((bundle.selfTest ?? []).map((each) => [`self-test of ${each.component}`, describeSelfTest(each)])),
  };
  return { ...result, metadata: { ...metadata, ...result.metadata } };
}

async function inspectFolder(folder: string, summary: FileSummary): Promise<InspectResult> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile() && entry.name.endsWith(".safetensors"))
    .map((entry) => join(entry.parentPath, entry.name));
  if (paths.length === 0) throw new UserError("checkpoint.unsupported", summary.problem ?? `${folder} holds no safetensors file.`);
  return assemble(folder, summary, await openAll(paths.toSorted()));
}

async function openAll(paths: readonly string[]): Promise<SafetensorsFile[]> {
  const files: SafetensorsFile[] = [];
  for (const path of paths) {
    const file = await SafetensorsFile.open(path);
    await file.close();
    files.push(file);
  }
  return files;
}

function assemble(path: string, summary: FileSummary, files: readonly SafetensorsFile[]): InspectResult {
  const tensors = files.flatMap((file) =>
    [...file.tensors.values()].map(({ name, dtype, shape, length }) => ({ name, dtype, shape, bytes: length })),
  );
  const byDtype: Record<string, number> = {};
  for (const { dtype, shape } of tensors) byDtype[dtype] = (byDtype[dtype] ?? 0) + elementCount(shape);
  const notes = [
    ...(summary.rank === undefined ? [] : [`rank ${summary.rank}, ${summary.layers} layers`]),
    ...(summary.architecture === undefined && summary.architectureLabel ? [`made for ${summary.architectureLabel}`] : []),
    ...(summary.problem === undefined ? [] : [summary.problem]),
    ...unknownDtypes(Object.keys(byDtype)),
  ];
  return {
    file: path,
    kind: summary.kind === "unreadable" ? "safetensors" : summary.kind,
    ...(summary.architecture && { architecture: summary.architecture }),
    bytes: files.reduce((sum, { size }) => sum + size, 0),
    metadata: Object.fromEntries(files.flatMap(({ metadata }) => [...metadata])),
    tensors,
    parameters: { total: Object.values(byDtype).reduce((sum, count) => sum + count, 0), byDtype },
    notes,
  };
}

function unknownDtypes(dtypes: readonly string[]): string[] {
  const known = Object.keys(DTYPE_BITS).join(", ");
  return dtypes
    .filter((dtype) => !isDtype(dtype))
    .map((dtype) => `dtype ${dtype} is not known (known are ${known}); its tensors are kept raw`);
}
