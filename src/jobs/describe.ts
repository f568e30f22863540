import { stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { DeltaFile } from "../formats/delta-file.ts";
import { ENGINE_FILE, type EngineBundle } from "../formats/engine-bundle.ts";
import { UserError } from "../formats/errors.ts";
import { SafetensorsFile } from "../formats/safetensors.ts";
import { detectLoraArchitecture } from "../lora/lora-architecture.ts";
import { LoraFile } from "../lora/lora-file.ts";
import { ARCHITECTURE_LABEL, isArchitecture, type Architecture, type Component } from "../models/architecture.ts";
import { openCheckpoint } from "../models/open-checkpoint.ts";
import { recognise } from "../models/recognition.ts";
import { openBundle } from "./engine-cache.ts";
import { exportOptionsSchema } from "./options.ts";
import type { FileSummary } from "./results.ts";

/** What a file or folder is, from its header alone; one that cannot be read is described by its problem. */
export async function describeFile(path: string): Promise<FileSummary> {
  try {
    return await describe(path);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { path, kind: "unreadable", problem: error.message };
  }
}

async function describe(path: string): Promise<FileSummary> {
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory()) return (await isBundle(path)) ? describeBundle(path) : describeCheckpoint(path);
  if (path.endsWith(".trt_lora")) return describeDelta(path);
  const file = await SafetensorsFile.open(path);
  await file.close();
  const kind = recognise(file.tensors.keys(), file.metadata)?.kind;
  if (kind === "delta") return describeDelta(path);
  if (kind === "lora") return describeLora(path, file);
  return describeCheckpoint(path);
}

async function isBundle(folder: string): Promise<boolean> {
  return (await stat(join(folder, ENGINE_FILE)).catch(() => undefined))?.isFile() ?? false;
}

async function describeBundle(path: string): Promise<FileSummary> {
  const { bundle, architecture } = await openBundle(path);
  return {
    path,
    kind: "engine bundle",
    ...named(architecture),
    precision: bundle.precision,
    backend: bundle.backend.name,
    backendVersion: bundle.backend.version,
    ...(bundle.computeCapability !== undefined && { computeCapability: bundle.computeCapability }),
    components: bundle.components.map(({ component, engine, onnx, bytes, profile, refittable }) => ({
      component: component as Component,
      file: (engine ?? onnx)!,
      bytes,
      profile,
      refittable: refittable.length,
    })),
    // Hard links of a checkpoint that lies elsewhere take no room of their own, but this is what is read.
    bundleBytes: [...bundle.components, ...bundle.weightFiles].reduce((sum, { bytes }) => sum + bytes, 0),
    checkpoint: bundle.checkpoint.name,
    fingerprint: bundle.checkpoint.fingerprint,
    ...(await exportOptionsOf(path, bundle)),
  };
}

/** The options that the bundle was exported with, where its checkpoint is still where it was. */
async function exportOptionsOf(folder: string, { exportOptions, checkpoint }: EngineBundle): Promise<Pick<FileSummary, "exportOptions">> {
  const parsed = exportOptionsSchema.safeParse(exportOptions);
  if (!parsed.success) return {};
  const path = resolve(folder, parsed.data.checkpoint);
  const isThere = await stat(path).catch(() => undefined);
  return isThere && basename(path) === checkpoint.name ? { exportOptions: { ...parsed.data, checkpoint: path } } : {};
}

async function describeCheckpoint(path: string): Promise<FileSummary> {
  const { architecture } = await openCheckpoint(path);
  return { path, kind: "checkpoint", ...named(architecture) };
}

async function describeDelta(path: string): Promise<FileSummary> {
  const delta = await DeltaFile.open(path);
  await delta.close();
  const { architecture = "", baseFingerprint, loraStrength, loraFile } = delta.metadata;
  const ranks = [...delta.changes.values()].flatMap((change) => (change.kind === "lowRank" ? [change.rank] : []));
  return {
    path,
    kind: "delta",
    layers: delta.changes.size,
    deltaVersion: delta.version,
    ...(isArchitecture(architecture) && named(architecture)),
    ...(ranks.length > 0 && { rank: Math.max(...ranks) }),
    ...(baseFingerprint !== undefined && { fingerprint: baseFingerprint }),
    ...(loraStrength !== undefined && { strength: loraStrength }),
    ...(loraFile !== undefined && { loraFile }),
  };
}

function describeLora(path: string, file: SafetensorsFile): FileSummary {
  const updates = LoraFile.outline(file);
  const trained = detectLoraArchitecture(updates);
  // Kinds like OFT have no rank.
  const rank = updates.reduce((largest, update) => Math.max(largest, update.rank), 0);
  return {
    path,
    kind: "lora",
    layers: updates.length,
    ...(rank > 0 && { rank }),
    ...(trained?.architecture ? named(trained.architecture) : trained && { architectureLabel: trained.label }),
  };
}

function named(architecture: Architecture): Pick<FileSummary, "architecture" | "architectureLabel"> {
  return { architecture, architectureLabel: ARCHITECTURE_LABEL[architecture] };
}
