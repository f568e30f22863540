import { availableParallelism } from "node:os";
import { cancelled, throwIfCancelled } from "../formats/errors.ts";
import { readError } from "../formats/random-access-file.ts";
import type { NativeAddon, NativeFileRange } from "./native-addon.ts";
import type { ByteRange, DigestOptions, RangeDigest, WeightHasher } from "./weight-hashes.ts";

/** Beyond this many threads the disk and the memory are the limit; each thread holds up to 16 open files. */
const MOST_THREADS = 8;
const PROGRESS_MILLISECONDS = 100;

/** Hashes in the native add-on: up to 16 weights side by side in the lanes of each thread's registers (native/md5). */
export class NativeHasher implements WeightHasher {
  readonly #addon: NativeAddon;
  readonly #threads: number;

  /** @param threads absent: one for each core */
  constructor(addon: NativeAddon, threads = Math.min(availableParallelism(), MOST_THREADS)) {
    this.#addon = addon;
    this.#threads = threads;
  }

  async digest(ranges: readonly ByteRange[], { signal, onProgress }: DigestOptions = {}): Promise<readonly RangeDigest[]> {
    throwIfCancelled(signal);
    const files = [...new Set(ranges.map(({ path }) => path))];
    const numbers = new Map(files.map((path, index) => [path, index]));
    const native = ranges.map(({ path, dtype, offset, length }): NativeFileRange => ({
      file: numbers.get(path)!,
      offset,
      length,
      dtype: dtype === "F32" || dtype === "F16" || dtype === "BF16" ? dtype : undefined,
    }));
    const { done, cancel, bytesDone } = this.#addon.digest(files, native, this.#threads);
    const timer = onProgress && setInterval(() => onProgress(bytesDone()), PROGRESS_MILLISECONDS);
    signal?.addEventListener("abort", cancel, { once: true });
    try {
      const digests = await done;
      if (!digests) throw cancelled();
      onProgress?.(bytesDone());
      return digests;
    } catch (error) {
      throw fileError(error);
    } finally {
      clearInterval(timer);
      signal?.removeEventListener("abort", cancel);
    }
  }
}

/** The add-on's error as one that names the file; it does not know the system's reason, so that is the general one. */
function fileError(error: unknown): unknown {
  if (!(error instanceof Error) || !("file" in error) || typeof error.file !== "string") return error;
  return readError(error.file, Object.assign(new Error(error.message, { cause: error }), { code: "EIO" }));
}
