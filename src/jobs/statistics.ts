import { DeltaFile, type StoredChange } from "../formats/delta-file.ts";
import { throwIfCancelled } from "../formats/errors.ts";
import { findNonFinite, isNumericDtype } from "../formats/numbers.ts";
import type { TensorEntry } from "../formats/safetensors.ts";
import { LoraFile } from "../lora/lora-file.ts";
import { entriesOf } from "../lora/update.ts";
import { lowRankNorm } from "./low-rank-norm.ts";
import type { LayerStatistics } from "./results.ts";

export interface StatisticsOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress: (done: number, total: number) => void;
}

type Read = (entry: TensorEntry) => Promise<Float32Array>;

/** What each module of a LoRA changes; one factor pair in memory at a time. */
export async function loraStatistics(path: string, options: StatisticsOptions): Promise<LayerStatistics[]> {
  const lora = await LoraFile.open(path);
  try {
    const read: Read = (entry) => lora.readFloat32(entry);
    return await each(lora.updates, options, async (update): Promise<LayerStatistics> => {
      const { module: name, label: kind, rank, alpha } = update;
      const described = { name, kind, ...(rank > 0 && { rank }), ...(alpha !== undefined && { alpha }) };
      if (update.kind === "lowRank") return { ...described, ...(await lowRank(read, update.up, update.down, rank, update.scale)) };
      const tensors = await Promise.all(numbersOf(entriesOf(update)).map(read));
      const found = countNonFinite(tensors);
      return { ...described, ...found, ...(update.kind === "dense" && tensors[0] && { norm: Math.abs(update.scale) * norm(tensors[0]) }) };
    });
  } finally {
    await lora.close();
  }
}

/** What a delta changes of each weight; whole weights (version 1) have no norm, because that takes the engine's base. */
export async function deltaStatistics(path: string, options: StatisticsOptions): Promise<LayerStatistics[]> {
  const delta = await DeltaFile.open(path);
  try {
    const read: Read = (entry) => delta.read(entry);
    return await each([...delta.changes], options, ([name, change]) => changeStatistics(read, name, change));
  } finally {
    await delta.close();
  }
}

async function changeStatistics(read: Read, name: string, change: StoredChange): Promise<LayerStatistics> {
  if (change.kind === "lowRank") {
    return { name, kind: "lowRank", rank: change.rank, ...(await lowRank(read, change.up, change.down, change.rank, 1)) };
  }
  const entries = change.kind === "factors" ? [...change.factors.values()] : [change.values];
  const tensors = await Promise.all(numbersOf(entries).map(read));
  const found = countNonFinite(tensors);
  return { name, kind: change.kind, ...found, ...(change.kind === "dense" && tensors[0] && { norm: norm(tensors[0]) }) };
}

function numbersOf(entries: readonly TensorEntry[]): TensorEntry[] {
  return entries.filter(({ dtype }) => isNumericDtype(dtype));
}

async function each<Item, Result>(
  items: readonly Item[],
  { signal, onProgress }: StatisticsOptions,
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  for (const item of items) {
    throwIfCancelled(signal);
    results.push(await work(item));
    onProgress(results.length, items.length);
  }
  return results;
}

async function lowRank(read: Read, up: TensorEntry, down: TensorEntry, rank: number, scale: number) {
  const [upValues, downValues] = [await read(up), await read(down)];
  return { ...countNonFinite([upValues, downValues]), norm: Math.abs(scale) * lowRankNorm(upValues, downValues, rank) };
}

function countNonFinite(tensors: readonly Float32Array[]): { readonly nan: number; readonly infinite: number } {
  const counts = tensors.map(findNonFinite);
  return { nan: counts.reduce((sum, { nan }) => sum + nan, 0), infinite: counts.reduce((sum, { inf }) => sum + inf, 0) };
}

function norm(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value * value;
  return Math.sqrt(sum);
}
