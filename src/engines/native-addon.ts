import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** Numbers in memory: any typed array whose bytes are little-endian numbers of the dtype. */
export interface NativeBuffer {
  readonly data: NodeJS.TypedArray;
  readonly dtype: "F32" | "F16" | "BF16";
}

/** output = base + Σ scale·up·down + Σ scale·values; base, values and output are [rows, columns], row-major. */
export interface NativeMergeJob {
  readonly rows: number;
  readonly columns: number;
  readonly base: NativeBuffer;
  /** up is [rows, rank], down is [rank, columns]. */
  readonly lowRank: readonly { readonly up: NativeBuffer; readonly down: NativeBuffer; readonly rank: number; readonly scale: number }[];
  readonly dense: readonly { readonly values: NativeBuffer; readonly scale: number }[];
  /** May be the base's own memory; may share no memory with anything else that is read or written. */
  readonly output: NativeBuffer;
}

/** A run of bytes in `files[file]` of a digest call. */
export interface NativeFileRange {
  readonly file: number;
  readonly offset: number;
  readonly length: number;
  /** Absent: the bytes are not looked at as numbers. */
  readonly dtype?: "F32" | "F16" | "BF16" | undefined;
}

export interface NativeRangeDigest {
  /** Of the bytes, in hexadecimal. */
  readonly md5: string;
  /** How many of the numbers are NaN and how many infinite; 0 without a dtype. */
  readonly nan: number;
  readonly infinite: number;
}

export interface NativeVersion {
  readonly version: string;
  readonly buildType: string;
  readonly compiler: string;
  readonly cpuFeatures: readonly string[];
  /** The instruction set that the arithmetic runs on here: "avx512", "avx2", "neon" or "plain". */
  readonly kernels: string;
}

/**
 * What native/addon.cc exports. Wrong arguments throw a TypeError that names the argument. The memory handed over must not be
 * detached or written to before the promise is settled.
 */
export interface NativeAddon {
  version(): NativeVersion;
  /** Converts all numbers of `input` to the dtype of `output`, rounding to nearest even. */
  convert(input: NativeBuffer, output: NativeBuffer, threads: number): Promise<void>;
  /**
   * Merges in fp32 and rounds once where the output is narrower; the bits do not depend on the number of threads. `done`
   * gives false where `cancel` came first; the outputs are then partly written.
   */
  merge(jobs: readonly NativeMergeJob[], threads: number): { readonly done: Promise<boolean>; readonly cancel: () => void };
  /**
   * Reads each range once, in pieces. `done` gives one digest a range, or undefined where `cancel` came first; where a file cannot
   * be opened or ends before a range does, it fails with an error that has the file's path as `file`.
   */
  digest(
    files: readonly string[],
    ranges: readonly NativeFileRange[],
    threads: number,
  ): {
    readonly done: Promise<readonly NativeRangeDigest[] | undefined>;
    readonly cancel: () => void;
    /** Bytes read so far, of all ranges together. */
    readonly bytesDone: () => number;
  };
}

/** The add-on, or why there is none; `file` is where it was looked for. */
export type NativeAddonResult =
  | { readonly file: string; readonly addon: NativeAddon; readonly version: NativeVersion }
  | { readonly file: string; readonly addon?: undefined; readonly reason: string };

const PACKAGE_NAME = "tensorrt-redux";
const BUILD_COMMAND = "npm run build:native";

export interface Package {
  readonly folder: string;
  readonly version: string;
}

/** The package that `start` is in: the same place from the sources, from dist/ and from an installed extension. */
export function findPackage(start: string): Package {
  for (let folder = start; ; folder = dirname(folder)) {
    const manifest = join(folder, "package.json");
    if (existsSync(manifest)) {
      const { name, version } = JSON.parse(readFileSync(manifest, "utf8")) as { name?: string; version?: string };
      if (name === PACKAGE_NAME && version !== undefined) return { folder, version };
    }
    if (folder === dirname(folder)) throw new Error(`${start} is not inside the package ${PACKAGE_NAME}.`);
  }
}

/**
 * Loads build/Release/tensorrt_redux.node. For the worker and the command line only: nothing else may run native code in its
 * process. Never throws; everything the add-on does is possible without it, only slower.
 *
 * @param start a folder in the package whose add-on is wanted
 */
export function loadNativeAddon(start: string = import.meta.dirname): NativeAddonResult {
  let file = start;
  try {
    const { folder, version: wanted } = findPackage(start);
    file = join(folder, "build", "Release", "tensorrt_redux.node");
    if (!existsSync(file)) return { file, reason: `The file does not exist. Build it with: ${BUILD_COMMAND}` };
    const addon = createRequire(join(folder, "package.json"))(file) as NativeAddon;
    const version = addon.version();
    if (version.version === wanted) return { file, addon, version };
    return { file, reason: `It is version ${version.version}, but ${wanted} is needed. Build it again with: ${BUILD_COMMAND}` };
  } catch (error) {
    const [line] = (error instanceof Error ? error.message : String(error)).split("\n");
    return { file, reason: `It cannot be loaded (${line}). Build it again with: ${BUILD_COMMAND}` };
  }
}
