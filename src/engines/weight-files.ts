import { constants } from "node:fs";
import { copyFile, link, realpath, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { assertSpace, writeFileAtomically } from "../formats/atomic-file.ts";
import { throwIfCancelled } from "../formats/errors.ts";
import { fromFloat32, isNumericDtype, toFloat32, type WeightDtype } from "../formats/numbers.ts";
import { RandomAccessFile } from "../formats/random-access-file.ts";
import { writeSafetensors, type TensorSource } from "../formats/safetensors-writer.ts";
import { SafetensorsFile } from "../formats/safetensors.ts";
import type { Weight } from "../models/checkpoint.ts";

/** Where a weight's bytes stand in a bundle's folder. */
export interface WeightPlace {
  /** Relative to the bundle's folder. */
  readonly file: string;
  readonly dtype: string;
  readonly offset: number;
  readonly length: number;
}

/** A bundle's weight files, and where each weight stands in them. */
export interface WeightFiles {
  readonly files: readonly { readonly file: string; readonly bytes: number }[];
  readonly places: ReadonlyMap<string, WeightPlace>;
}

/** Whether every weight is stored in this type already, so that the checkpoint's own files can serve. */
export function isStoredAs(weights: readonly Weight[], dtype: WeightDtype): boolean {
  return weights.every((weight) => weight.dtype === dtype);
}

/**
 * Puts the checkpoint's own files into the bundle: hard links where the file system can, else copies. A link costs nothing and
 * stays whole when the checkpoint is moved or deleted.
 */
export async function linkWeights(
  weights: readonly Weight[],
  folder: string,
  { signal, onProgress }: { readonly signal?: AbortSignal | undefined; readonly onProgress: (done: number, total: number) => void },
): Promise<WeightFiles> {
  const names = bundleNames(new Set(weights.map(({ file }) => file)));
  const files: { readonly source: string; readonly file: string; readonly bytes: number }[] = [];
  for (const [source, file] of names) files.push({ source, file, bytes: (await stat(source)).size });
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  let done = 0;
  onProgress(0, total);
  for (const { source, file, bytes } of files) {
    throwIfCancelled(signal);
    await linkOrCopy(source, join(folder, file), { bytes, signal, onProgress: (copied) => onProgress(done + copied, total) });
    onProgress((done += bytes), total);
  }
  const places = weights.map(({ name, file, dtype, offset, length }) => [name, { file: names.get(file)!, dtype, offset, length }] as const);
  return { files: files.map(({ file, bytes }) => ({ file, bytes })), places: new Map(places) };
}

interface CopyOptions {
  readonly bytes: number;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: (copied: number) => void;
}

/** A diffusers folder has several files of one name: those get their folder's name in front. */
function bundleNames(sources: ReadonlySet<string>): Map<string, string> {
  const counts = new Map<string, number>();
  for (const source of sources) counts.set(basename(source), (counts.get(basename(source)) ?? 0) + 1);
  return new Map(
    [...sources].map((source) => {
      const name = basename(source);
      return [source, counts.get(name)! > 1 ? `${basename(dirname(source))}-${name}` : name];
    }),
  );
}

async function linkOrCopy(source: string, target: string, { bytes, signal, onProgress }: CopyOptions): Promise<void> {
  // A link of a symbolic link, as download caches keep them, would be another symbolic link.
  const file = await realpath(source);
  // Where there are no links (another disk), there may be copies that share their blocks.
  const shared = await link(file, target)
    .catch(() => copyFile(file, target, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL))
    .then(
      () => true,
      () => false,
    );
  if (shared) return;
  await assertSpace(dirname(target), bytes, "a copy of the checkpoint");
  const opened = await RandomAccessFile.open(file);
  try {
    await writeFileAtomically(
      target,
      async (writer) => {
        for (let begin = 0; begin < bytes; begin += PIECE) {
          await writer.write(await opened.readBytes(begin, Math.min(PIECE, bytes - begin)));
          onProgress(Math.min(begin + PIECE, bytes));
        }
      },
      signal,
    );
  } finally {
    await opened.close();
  }
}

/** Writes all weights into one new safetensors file of the bundle, each rounded once to `dtype`. */
export async function convertWeights(
  weights: readonly Weight[],
  dtype: WeightDtype,
  folder: string,
  { signal, onProgress }: { readonly signal?: AbortSignal | undefined; readonly onProgress: (done: number, total: number) => void },
): Promise<WeightFiles> {
  const file = "weights.safetensors";
  const path = join(folder, file);
  const size = (weight: Weight) => (weight.shape.reduce((product, side) => product * side, 1) * BITS[dtype]) / 8;
  const total = weights.reduce((sum, weight) => sum + size(weight), 0);
  await assertSpace(folder, total, "the converted weights");
  const sources = new Map<string, RandomAccessFile>();
  try {
    for (const source of new Set(weights.map((weight) => weight.file))) sources.set(source, await RandomAccessFile.open(source));
    const tensors = weights.map((weight): TensorSource => ({
      name: weight.name,
      dtype,
      shape: weight.shape,
      chunks: () => converted(sources.get(weight.file)!, weight, dtype),
    }));
    await writeSafetensors(path, tensors, {}, { signal, onProgress: (done: number) => onProgress(done, total) });
  } finally {
    for (const source of sources.values()) await source.close();
  }
  const written = await SafetensorsFile.open(path);
  await written.close();
  const places = [...written.tensors.values()].map(
    (entry) => [entry.name, { file, dtype, offset: entry.offset, length: entry.length }] as const,
  );
  return { files: [{ file, bytes: written.size }], places: new Map(places) };
}

const BITS: Readonly<Record<WeightDtype, number>> = { F32: 32, F16: 16, BF16: 16 };

/** Bytes read at a time; a multiple of every element's size. */
const PIECE = 16 * 1024 * 1024;

async function* converted(source: RandomAccessFile, weight: Weight, dtype: WeightDtype): AsyncGenerator<Uint8Array> {
  if (!isNumericDtype(weight.dtype))
    throw new Error(`"${weight.name}" has dtype ${weight.dtype}, which openCheckpoint should have refused.`);
  for (let begin = 0; begin < weight.length; begin += PIECE) {
    const bytes = await source.readBytes(weight.offset + begin, Math.min(PIECE, weight.length - begin));
    yield weight.dtype === dtype ? bytes : fromFloat32(toFloat32(bytes, weight.dtype), dtype);
  }
}
