import { join } from "node:path";
import { throwIfCancelled, UserError } from "../formats/errors.ts";
import { RandomAccessFile } from "../formats/random-access-file.ts";
import { manifestEntry, type ManifestEntry } from "../formats/weight-manifest.ts";
import type { Weight } from "../models/checkpoint.ts";
import type { WeightPlace } from "./weight-files.ts";

/** A run of bytes in a file that are numbers of one dtype. */
export interface ByteRange {
  readonly path: string;
  readonly dtype: string;
  readonly offset: number;
  readonly length: number;
}

export interface RangeDigest {
  /** MD5 of the bytes, in hexadecimal. */
  readonly md5: string;
  /** How many of the numbers are NaN and how many infinite; 0 for dtypes other than F32, F16 and BF16. */
  readonly nan: number;
  readonly infinite: number;
}

export interface DigestOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((bytesDone: number) => void) | undefined;
}

/** What hashes weights: the native add-on where there is one, else Node's crypto. */
export interface WeightHasher {
  /**
   * One digest a range, in order; every byte is read once and none is kept. Throws "cancelled", and what reading a file throws.
   */
  digest(ranges: readonly ByteRange[], options?: DigestOptions): Promise<readonly RangeDigest[]>;
}

/** What a bundle says of a weight, and what it should not have. */
export interface HashedWeight {
  readonly entry: ManifestEntry;
  readonly nan: number;
  readonly infinite: number;
}

/** The `_weights.json` entries of weights as they stand in the bundle's folder, by name. */
export async function hashWeights(
  hasher: WeightHasher,
  folder: string,
  places: ReadonlyMap<string, WeightPlace>,
  weights: ReadonlyMap<string, Weight>,
  { signal, onProgress }: { readonly signal?: AbortSignal | undefined; readonly onProgress: (done: number, total: number) => void },
): Promise<Map<string, HashedWeight>> {
  throwIfCancelled(signal);
  const names = [...weights.keys()];
  const ranges = names.map((name): ByteRange => {
    const { file, dtype, offset, length } = places.get(name)!;
    return { path: join(folder, file), dtype, offset, length };
  });
  const total = ranges.reduce((sum, { length }) => sum + length, 0);
  await checkEnds(ranges);
  const digests = await hasher.digest(ranges, { signal, onProgress: (done) => onProgress(done, total) });
  const hashed = names.map((name, index): [string, HashedWeight] => {
    const { md5, nan, infinite } = digests[index]!;
    return [name, { entry: manifestEntry(ranges[index]!.dtype, weights.get(name)!.shape, md5), nan, infinite }];
  });
  return new Map(hashed);
}

/** Every range is inside its file, which can be opened: what then still fails is the disk. */
async function checkEnds(ranges: readonly ByteRange[]): Promise<void> {
  const ends = new Map<string, number>();
  for (const { path, offset, length } of ranges) ends.set(path, Math.max(ends.get(path) ?? 0, offset + length));
  for (const [path, end] of ends) {
    const file = await RandomAccessFile.open(path);
    await file.close();
    if (file.size < end) throw new UserError("file.truncated", `${path} is cut off: it should have ${end} bytes, but has ${file.size}.`);
  }
}

/** A sentence that names the weights with NaN or infinite values; none where there are no such weights. */
export function nonFiniteWarnings(hashed: ReadonlyMap<string, HashedWeight>): string[] {
  const bad = [...hashed].filter(([, { nan, infinite }]) => nan > 0 || infinite > 0);
  if (bad.length === 0) return [];
  const shown = bad.slice(0, 3).map(([name, { nan, infinite }]) => `${name} (${nan} NaN, ${infinite} infinite)`);
  const more = bad.length > 3 ? ` and ${bad.length - 3} more` : "";
  const weights = bad.length === 1 ? "1 weight has" : `${bad.length} weights have`;
  return [`${weights} values that are no finite numbers, so images may be black: ${shown.join(", ")}${more}`];
}
