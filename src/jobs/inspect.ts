import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { DTYPE_BITS, isDtype } from "../formats/dtype.ts";
import { readEngineBundle } from "../formats/engine-bundle.ts";
import { SafetensorsFile } from "../formats/safetensors.ts";
import { elementCount } from "../formats/tensor.ts";
import type { JobContext } from "./context.ts";
import { describeFile } from "./describe.ts";
import type { InspectOptions } from "./options.ts";
import type { FileSummary, InspectResult } from "./results.ts";
import { UserError } from "../formats/errors.ts";

/** The header of a checkpoint, LoRA, delta or engine bundle: what it is, its metadata, its tensors. No values are read. */
export async function inspectFile({ file }: InspectOptions, _context: JobContext): Promise<InspectResult> {
  const found = await stat(file).catch(() => undefined);
  if (!found) throw new UserError("file.missing", `${file} does not exist.`);
  const summary = await describeFile(file);
  if (found.isDirectory()) return summary.kind === "engine bundle" ? inspectBundle(file, summary) : inspectFolder(file, summary);
  const opened = await SafetensorsFile.open(file);
  await opened.close();
  return assemble(file, summary, [opened]);
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
