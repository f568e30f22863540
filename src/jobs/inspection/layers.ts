import type { StoredChange } from "../../formats/delta-file.ts";
import { DeltaFile } from "../../formats/delta-file.ts";
import { UserError } from "../../formats/errors.ts";
import { isNumericDtype } from "../../formats/numbers.ts";
import { SafetensorsFile, type TensorEntry } from "../../formats/safetensors.ts";
import { elementCount } from "../../formats/tensor.ts";
import type { RefittableBaseWeight } from "../../lora/base.ts";
import type { WeightChange } from "../../lora/delta.ts";
import { blockSize } from "../../lora/factors.ts";
import { kindLabel, kindMisfit, kindOf } from "../../lora/kinds/kinds.ts";
import { LoraFile } from "../../lora/lora-file.ts";
import { matchUpdates, type MatchedUpdate } from "../../lora/match-updates.ts";
import { matrixSize } from "../../lora/merge.ts";
import { prepareWeight } from "../../lora/prepared-weight.ts";
import { readChange } from "../../lora/read-delta.ts";
import { entriesOf, factorShapes, type LoraUpdate } from "../../lora/update.ts";
import type { InspectionBase } from "./inspection-base.ts";
import { TensorMatrix, type LayerMatrix } from "./layer-matrix.ts";
import { layerPlace } from "./layer-place.ts";
import type { LayerDescription } from "./types.ts";

/** One layer of an opened file: what the header says of it, and the way to its values. */
export interface Layer extends LayerDescription {
  /** The base's weight that it changes, where the base has one and it fits. */
  readonly weight?: RefittableBaseWeight;
  /** Stored tensors that its values come from. */
  readonly entries: readonly TensorEntry[];
  /** Of an adapter: the change at strength 1, not yet joined with the base. */
  readonly readChange?: () => Promise<WeightChange>;
  /** Of any other file: the tensor, which stays in the file. Absent where its dtype is no number. */
  readonly tensor?: LayerMatrix;
}

/** A file whose layers can be read. */
export interface OpenedLayers {
  readonly layers: readonly Layer[];
  readonly notes: readonly string[];
  readonly baseFingerprint?: string;
  /** A stored tensor's numbers; of an adapter's factors. */
  read(entry: TensorEntry): Promise<Float32Array>;
  close(): Promise<void>;
}

/** Below this share of modules that a published layout knows, it is not the file's own. */
const LAYOUT_SHARE = 0.5;

/**
 * The layers of a LoRA. With a base (or, failing that, a published layout that fits) one a weight, under the weight's name; the
 * modules that match none, and all where there is neither, under the file's own names.
 */
export async function openLora(path: string, base: InspectionBase | undefined): Promise<OpenedLayers> {
  const lora = await LoraFile.open(path);
  const matches = base && matchUpdates(lora, base.description);
  const fits = matches && (base.read !== undefined || matches.matched.length >= LAYOUT_SHARE * lora.updates.length);
  const matched = fits ? matches.matched : [];
  const taken = new Set(matched.map(({ update }) => update));
  const left = lora.updates.filter((update) => !taken.has(update));
  const layers = [...matchedLayers(lora, matched), ...left.map((update) => ownLayer(lora, update))];
  const notes = lora.suspicious.map(({ name, reason }) => `${name}: ${reason}`);
  if (base?.read && left.length > 0) notes.push(`${left.length} of ${lora.updates.length} modules match no weight of the base`);
  notes.push(...lora.unused.slice(0, 3).map(({ name, reason }) => `${name} is left out: ${reason}`));
  return { layers, notes, read: (entry) => lora.readFloat32(entry), close: () => lora.close() };
}

function matchedLayers(lora: LoraFile, matched: readonly MatchedUpdate[]): Layer[] {
  const parts = new Map<MatchedUpdate["weight"], MatchedUpdate[]>();
  for (const match of matched) parts.set(match.weight, [...(parts.get(match.weight) ?? []), match]);
  return Array.from(parts, ([weight, matches]): Layer => {
    const { name, shape, component } = weight;
    return { ...updatesLayer(lora, name, shape, matches), component, weight };
  });
}

/** A module that no weight is known for. */
function ownLayer(lora: LoraFile, update: LoraUpdate): Layer {
  const shape = changedShape(update);
  const layer = updatesLayer(lora, update.module, shape ?? [], [{ update }]);
  const { shape: _, ...unknown } = layer;
  const name = update.target === "bias" ? `${update.module} (bias)` : update.module;
  return { ...(shape ? layer : unknown), name };
}

function updatesLayer(
  lora: LoraFile,
  name: string,
  shape: readonly number[],
  matches: readonly Pick<MatchedUpdate, "update" | "rows">[],
): Layer {
  const updates = matches.map(({ update }) => update);
  const parts = matches.map(({ update, rows }) => ({
    update,
    scale: update.kind === "factored" ? 1 : update.scale,
    exact: false,
    ...(rows ? { rows } : {}),
  }));
  const entries = updates.flatMap(entriesOf);
  const rank = updates.reduce((sum, update) => sum + update.rank, 0);
  const alpha = updates.find((update) => update.alpha !== undefined)?.alpha;
  return {
    name,
    ...layerPlace(name),
    shape,
    dtype: commonText(entries.map(({ dtype }) => dtype)),
    kind: commonText(updates.map(({ label }) => label)),
    ...(rank > 0 && { rank }),
    ...(alpha !== undefined && { alpha }),
    entries,
    readChange: () => prepareWeight(name, shape, parts, 1).readChange(lora),
  };
}

/** The shape that an update's own factors give the weight; undefined where they do not tell. */
function changedShape(update: LoraUpdate): readonly number[] | undefined {
  if (update.kind === "lowRank") return [update.up.shape[0]!, ...update.down.shape.slice(1)];
  if (update.kind === "dense") return update.values.shape;
  return update.is.changedShape?.(factorShapes(update));
}

/** The changes of a delta, one a weight. */
export async function openDelta(path: string, base: InspectionBase | undefined): Promise<OpenedLayers> {
  const file = await DeltaFile.open(path);
  const { baseFingerprint, baseEngine } = file.metadata;
  const layers = Array.from(file.changes, ([name, change]): Layer => {
    const weight = fittingWeight(change, base?.weight(name));
    const shape = weight?.shape ?? storedShape(change);
    const entries = storedEntries(change);
    const needsBase = change.kind === "fullWeights";
    return {
      name,
      ...layerPlace(name),
      ...(weight && { component: weight.component, weight }),
      ...(shape && { shape }),
      dtype: commonText(entries.map(({ dtype }) => dtype)),
      kind: storedLabel(change),
      ...(change.kind === "lowRank" && { rank: change.rank }),
      entries,
      readChange: async () => readChange(file, change, needsBase ? await requireBase(base, weight) : undefined),
    };
  });
  const isOther = base?.read && baseFingerprint !== undefined && baseFingerprint !== base.description.fingerprint;
  const notes = isOther
    ? [`it was made for the checkpoint of "${baseEngine ?? "another engine"}", not for "${base.description.name}"`]
    : [];
  const read = (entry: TensorEntry) => file.read(entry);
  return { layers, notes, ...(baseFingerprint !== undefined && { baseFingerprint }), read, close: () => file.close() };
}

function requireBase(base: InspectionBase | undefined, weight: RefittableBaseWeight | undefined): Promise<Float32Array> {
  if (!base?.read || !weight) throw new UserError("delta.wrongBase", NEEDS_BASE);
  return base.read(weight.name);
}

/** Why a layer has no numbers of its own. */
export const NEEDS_BASE = "The change depends on the base's weights. Choose the base to see it.";

/** The base's weight of a change's name, where it is one that the change can be of. */
function fittingWeight(change: StoredChange, weight: RefittableBaseWeight | undefined): RefittableBaseWeight | undefined {
  const stored = storedShape(change);
  if (!weight || !stored) return weight && isMisfit(change, weight.shape) ? undefined : weight;
  const [a, b] = [matrixSize(stored), matrixSize(weight.shape)];
  return a.rows === b.rows && a.columns === b.columns ? weight : undefined;
}

function isMisfit(change: StoredChange, shape: readonly number[]): boolean {
  if (change.kind !== "factors") return false;
  const shapes = new Map(Array.from(change.factors, ([name, { shape: each }]) => [name, each]));
  const kind = kindOf(shapes);
  // Of a weight with several updates each is of its own rows: what reads them checks them.
  return typeof kind !== "string" && kindMisfit(kind, shapes, blockSize(shape)) !== undefined;
}

function storedShape(change: StoredChange): readonly number[] | undefined {
  if (change.kind === "lowRank") return [change.up.shape[0]!, change.down.shape[1]!];
  if (change.kind !== "factors") return change.values.shape;
  const shapes = new Map(Array.from(change.factors, ([name, { shape }]) => [name, shape]));
  const kind = kindOf(shapes);
  return typeof kind === "string" ? undefined : kind.changedShape?.(shapes);
}

function storedEntries(change: StoredChange): readonly TensorEntry[] {
  if (change.kind === "lowRank") return [change.up, change.down];
  return change.kind === "factors" ? Array.from(change.factors.values()) : [change.values];
}

function storedLabel(change: StoredChange): string {
  if (change.kind === "lowRank") return "LoRA";
  if (change.kind === "dense") return "dense";
  if (change.kind === "fullWeights") return "whole weight";
  const shapes = new Map(Array.from(change.factors, ([name, { shape }]) => [name.replace(/^(part_\d+\.)?(rows_\d+_\d+\.)?/, ""), shape]));
  const kind = kindOf(shapes);
  return typeof kind === "string" ? "factors" : kindLabel(kind, shapes);
}

/** The tensors of any other file. */
export async function openTensors(path: string): Promise<OpenedLayers> {
  const file = await SafetensorsFile.open(path);
  const layers = Array.from(file.tensors.values(), (entry): Layer => {
    const { name, dtype, shape } = entry;
    return {
      name,
      ...layerPlace(name),
      shape,
      dtype,
      kind: "tensor",
      entries: [entry],
      ...(isNumericDtype(dtype) && { tensor: new TensorMatrix(file, name, dtype) }),
    };
  });
  return { layers, notes: [], read: ({ name }) => file.readFloat32(name), close: () => file.close() };
}

/** Rows and columns of a layer; 0 where its shape is not known. */
export function layerSize({ shape }: Pick<LayerDescription, "shape">): { readonly rows: number; readonly columns: number } {
  return shape && elementCount(shape) > 0 ? matrixSize(shape) : { rows: 0, columns: 0 };
}

function commonText(texts: readonly string[]): string {
  return Array.from(new Set(texts)).join(" + ");
}
