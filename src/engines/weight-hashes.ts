import { join } from "node:path";
import { throwIfCancelled } from "../formats/errors.ts";
import { RandomAccessFile } from "../formats/random-access-file.ts";
import { manifestEntry, type ManifestEntry } from "../formats/weight-manifest.ts";
import type { Weight } from "../models/checkpoint.ts";
import type { WeightPlace } from "./weight-files.ts";

/** Bytes read at a time. */
const PIECE = 16 * 1024 * 1024;

/** The `_weights.json` entries of weights as they stand in the bundle's folder. */
export async function hashWeights(
  folder: string,
  places: ReadonlyMap<string, WeightPlace>,
  weights: ReadonlyMap<string, Weight>,
  { signal, onProgress }: { readonly signal?: AbortSignal | undefined; onProgress(done: number, total: number): void },
): Promise<Map<string, ManifestEntry>> {
  const entries = new Map<string, ManifestEntry>();
  const total = [...weights.keys()].reduce((sum, name) => sum + places.get(name)!.length, 0);
  let done = 0;
  const files = new Map<string, RandomAccessFile>();
  try {
    for (const [name, { shape }] of weights) {
      throwIfCancelled(signal);
      const place = places.get(name)!;
      let file = files.get(place.file);
      if (!file) files.set(place.file, (file = await RandomAccessFile.open(join(folder, place.file))));
      entries.set(name, await manifestEntry(place.dtype as "F32", shape, pieces(file, place)));
      onProgress((done += place.length), total);
    }
  } finally {
    for (const file of files.values()) await file.close();
  }
  return entries;
}

async function* pieces(file: RandomAccessFile, { offset, length }: WeightPlace): AsyncGenerator<Uint8Array> {
  for (let begin = 0; begin < length; begin += PIECE) yield file.readBytes(offset + begin, Math.min(PIECE, length - begin));
}
