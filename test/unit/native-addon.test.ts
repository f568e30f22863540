import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loadNativeAddon, type NativeAddon, type NativeBuffer, type NativeMergeJob } from "../../src/engines/native-addon.ts";
import { bf16ToFloat32, float32ToBf16, float32ToFp16, fp16ToFloat32 } from "../../src/formats/half.ts";
import manifest from "../../package.json" with { type: "json" };

function addon(): NativeAddon {
  const result = loadNativeAddon();
  if (!result.addon) throw new Error(`${result.file}: ${result.reason}`);
  return result.addon;
}

const f32 = (data: NodeJS.TypedArray): NativeBuffer => ({ data, dtype: "F32" });

describe("version", () => {
  test("names the package's version, the compiler and what the arithmetic runs on", () => {
    const version = addon().version();
    expect(version).toMatchObject({ version: manifest.version, buildType: "Release" });
    expect(version.compiler).toMatch(/^(GCC|Clang|MSVC) ?[\d.]+/);
    expect(["plain", "avx2", "avx512", "neon"]).toContain(version.kernels);
  });
});

describe("loading", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "native-addon-"));
    mkdirSync(join(folder, "dist"));
    mkdirSync(join(folder, "build", "Release"), { recursive: true });
    writeFileSync(join(folder, "dist", "package.json"), '{"type":"commonjs"}');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const writeManifest = (version: string) => writeFileSync(join(folder, "package.json"), JSON.stringify({ name: manifest.name, version }));
  const file = () => join(folder, "build", "Release", "tensorrt_redux.node");

  test("from the bundles' folder, which has a manifest of its own", () => {
    writeManifest(manifest.version);
    cpSync(loadNativeAddon().file, file());
    const result = loadNativeAddon(join(folder, "dist"));
    expect(result).toMatchObject({ file: file(), version: { version: manifest.version } });
  });

  test.each([
    { name: "no file", prepare: () => {}, reason: /^The file does not exist\. Build it with: npm run build:native$/ },
    {
      name: "no library",
      prepare: () => writeFileSync(file(), "not a library"),
      reason: /^It cannot be loaded \(.+\)\. Build it again with/,
    },
    {
      name: "another version",
      prepare: () => {
        writeManifest("99.0.0");
        cpSync(loadNativeAddon().file, file());
      },
      reason: new RegExp(`^It is version ${manifest.version.replaceAll(".", "\\.")}, but 99\\.0\\.0 is needed\\. Build it again with`),
    },
  ])("$name is a reason, not an exception", ({ prepare, reason }) => {
    writeManifest(manifest.version);
    prepare();
    const result = loadNativeAddon(join(folder, "dist"));
    expect(result.addon).toBeUndefined();
    expect(result).toMatchObject({ file: file(), reason: expect.stringMatching(reason) });
  });

  test("outside every package", () => {
    expect(loadNativeAddon(folder)).toMatchObject({ file: folder, reason: expect.stringContaining("is not inside the package") });
  });
});

describe("convert", () => {
  const words = Uint16Array.from({ length: 65_536 + 5 }, (_, i) => i & 0xffff);
  const floats = new Float32Array(words.length).map((_, i) => Math.sin(i) * 2 ** ((i % 64) - 40));

  test.each([
    { dtype: "F16" as const, widen: fp16ToFloat32, narrow: float32ToFp16, quietBit: 0x200, infinity: 0x7c00 },
    { dtype: "BF16" as const, widen: bf16ToFloat32, narrow: float32ToBf16, quietBit: 0x40, infinity: 0x7f80 },
  ])("$dtype as the TypeScript functions do", async ({ dtype, widen, narrow, infinity }) => {
    const numbers = words.filter((word) => (word & 0x7fff) <= infinity);
    const widened = new Float32Array(numbers.length);
    await addon().convert({ data: numbers, dtype }, f32(widened), 2);
    expect(Buffer.from(widened.buffer).equals(Buffer.from(widen(numbers).buffer))).toBe(true);
    const narrowed = new Uint16Array(floats.length);
    await addon().convert(f32(floats), { data: narrowed, dtype }, 2);
    expect(narrowed).toEqual(narrow(floats));
  });

  test("takes views and bytes at odd addresses", async () => {
    const bytes = new Uint8Array(1 + 8).subarray(1);
    new DataView(bytes.buffer, 1).setUint16(0, 0x3c00, true);
    new DataView(bytes.buffer, 1).setUint16(6, 0xc000, true);
    const target = new Float32Array(8).fill(9);
    await addon().convert({ data: bytes, dtype: "F16" }, f32(target.subarray(2, 6)), 1);
    expect([...target]).toEqual([9, 9, 1, 0, 0, -2, 9, 9]);
  });

  const eight = new Float32Array(8);
  test.each([
    { input: f32(eight), output: f32(new Float32Array(7)), threads: 1, message: "input has 8 values, but output has room for 7." },
    { input: f32(eight), output: f32(eight), threads: 1, message: "input and output share memory." },
    {
      input: f32(new Uint8Array(7)),
      output: f32(eight),
      threads: 1,
      message: "input.data has 7 bytes, which is no whole number of F32 values.",
    },
    { input: undefined, output: f32(eight), threads: 1, message: "input must be an object." },
    { input: { data: [1], dtype: "F32" }, output: f32(eight), threads: 1, message: "input.data must be a typed array." },
    { input: { data: eight, dtype: "I8" }, output: f32(eight), threads: 1, message: 'input.dtype must be "F32", "F16" or "BF16".' },
    { input: f32(eight), output: f32(new Float32Array(8)), threads: 0.5, message: "threads must be a whole number from 1 to 256." },
  ])("refuses: $message", ({ input, output, threads, message }) => {
    expect(() => addon().convert(input as NativeBuffer, output, threads)).toThrow(new TypeError(message));
  });
});

describe("merge refuses", () => {
  const memory = new Float32Array(64);
  const valid: NativeMergeJob = {
    rows: 2,
    columns: 3,
    base: f32(new Float32Array(6)),
    lowRank: [{ up: f32(new Float32Array(4)), down: f32(new Float32Array(6)), rank: 2, scale: 1 }],
    dense: [],
    output: f32(new Float32Array(6)),
  };
  const factor = valid.lowRank[0]!;
  const first = f32(memory.subarray(0, 6));
  const overlapping = f32(memory.subarray(5, 11));

  test.each<{ jobs: unknown; message: string }>([
    { jobs: "none", message: "jobs must be an array." },
    { jobs: [valid, null], message: "jobs[1] must be an object." },
    { jobs: [{ ...valid, rows: 0 }], message: "jobs[0].rows must be a whole number from 1 to 2147483648." },
    { jobs: [{ ...valid, columns: 2 ** 33 }], message: "jobs[0].columns must be a whole number from 1 to 2147483648." },
    { jobs: [{ ...valid, rows: 3 }], message: "jobs[0].base.data holds 6 values, but 3 x 3 = 9 are needed." },
    { jobs: [{ ...valid, output: f32(new Uint16Array(6)) }], message: "jobs[0].output.data holds 3 values, but 2 x 3 = 6 are needed." },
    { jobs: [{ ...valid, lowRank: undefined }], message: "jobs[0].lowRank must be an array." },
    {
      jobs: [{ ...valid, lowRank: [{ ...factor, rank: 3 }] }],
      message: "jobs[0].lowRank[0].up.data holds 4 values, but 2 x 3 = 6 are needed.",
    },
    {
      jobs: [{ ...valid, lowRank: [factor, { ...factor, down: factor.up }] }],
      message: "jobs[0].lowRank[1].down.data holds 4 values, but 2 x 3 = 6 are needed.",
    },
    { jobs: [{ ...valid, lowRank: [{ ...factor, scale: NaN }] }], message: "jobs[0].lowRank[0].scale must be a finite number." },
    {
      jobs: [{ ...valid, dense: [{ values: factor.up, scale: 1 }] }],
      message: "jobs[0].dense[0].values.data holds 4 values, but 2 x 3 = 6 are needed.",
    },
    {
      jobs: [
        { ...valid, output: first },
        { ...valid, output: overlapping },
      ],
      message: "jobs[0] and jobs[1] write to the same memory.",
    },
    { jobs: [{ ...valid, base: overlapping, output: first }], message: "jobs[0] reads memory that jobs[0] writes to." },
    {
      jobs: [
        { ...valid, output: first },
        { ...valid, base: first },
      ],
      message: "jobs[1] reads memory that jobs[0] writes to.",
    },
  ])("$message", ({ jobs, message }) => {
    expect(() => addon().merge(jobs as NativeMergeJob[], 1)).toThrow(new TypeError(message));
  });
});
