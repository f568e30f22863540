import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CryptoHasher } from "../../src/engines/crypto-hasher.ts";
import { loadNativeAddon } from "../../src/engines/native-addon.ts";
import { NativeHasher } from "../../src/engines/native-hasher.ts";
import { hashWeights, nonFiniteWarnings, type ByteRange, type WeightHasher } from "../../src/engines/weight-hashes.ts";

function nativeHasher(threads: number): NativeHasher {
  const result = loadNativeAddon();
  if (!result.addon) throw new Error(`${result.file}: ${result.reason}`);
  return new NativeHasher(result.addon, threads);
}

const HASHERS: readonly (readonly [name: string, hasher: () => WeightHasher])[] = [
  ["Node's crypto", () => new CryptoHasher()],
  ["the add-on on one thread", () => nativeHasher(1)],
  ["the add-on on three threads", () => nativeHasher(3)],
];

/** Bytes that repeat from run to run and differ from place to place. */
const bytes = Buffer.from(Uint32Array.from({ length: 100_000 }, (_, i) => Math.imul(i + 1, 2_654_435_761)).buffer);
let folder = "";
let path = "";
let other = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "weight-hashes-"));
  [path, other] = [join(folder, "wéights.bin"), join(folder, "other.bin")];
  await writeFile(path, bytes);
  await writeFile(other, bytes.subarray(7));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const range = (offset: number, length: number, dtype = "U8", file = path): ByteRange => ({ path: file, dtype, offset, length });
const md5 = (data: Uint8Array) => createHash("md5").update(data).digest("hex");

describe.each(HASHERS)("hashing with %s", (_, make) => {
  test.each<[string, () => ByteRange[]]>([
    ["every length around a block's borders", () => Array.from({ length: 301 }, (_each, length) => range(1000 + length * 3, length))],
    ["lengths around a piece's border", () => [-65, -64, -9, -8, -1, 0, 1, 56, 64].map((more) => range(11, 32 * 1024 + more))],
    ["very different lengths side by side", () => Array.from({ length: 40 }, (_each, i) => range(i, i % 7 === 0 ? 200_000 + i : i * 10))],
    ["one range", () => [range(0, bytes.length)]],
    ["two files", () => [range(0, 5000), range(0, 5000, "U8", other), range(5000, 5000), range(5000, 5000, "U8", other)]],
    ["nothing", () => []],
  ])("%s", async (_name, makeRanges) => {
    const ranges = makeRanges();
    const digests = await make().digest(ranges);
    const expected = ranges.map(({ path: file, offset, length }) => {
      const start = offset + (file === other ? 7 : 0);
      return md5(bytes.subarray(start, start + length));
    });
    expect(digests.map((digest) => digest.md5)).toEqual(expected);
  });

  test.each([
    ["F32", [0x7f800000, 0xff800000, 0x7f800001, 0xffffffff, 0x7f7fffff, 0x80000001], 4],
    ["F16", [0x7c00, 0xfc00, 0x7c01, 0xffff, 0x7bff, 0x8001], 2],
    ["BF16", [0x7f80, 0xff80, 0x7f81, 0xffff, 0x7f7f, 0x8001], 2],
    ["U8", [0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 1],
  ])("counts NaN and infinite values of %s", async (dtype, words, size) => {
    const file = join(folder, `${dtype}.bin`);
    const data = Buffer.alloc(70_000 * size);
    // Among many zeros, in two pieces and at the very ends.
    words.forEach((word, i) => data.writeUIntLE(word, i * size, size));
    words.forEach((word, i) => data.writeUIntLE(word, data.length - (i + 1) * size, size));
    await writeFile(file, data);
    const found = dtype === "U8" ? 0 : 4;
    const half = (dtype === "U8" ? 0 : 2) as number;
    const ranges = [range(0, data.length, dtype, file), range(size, size * 4, dtype, file)];
    const [all, part] = await make().digest(ranges);
    expect(all).toEqual({ md5: md5(data), nan: found, infinite: found });
    expect(part).toMatchObject({ infinite: half === 0 ? 0 : 1, nan: half });
  });

  test("tells how many bytes are done, all of them at the end", async () => {
    const done: number[] = [];
    await make().digest([range(0, 100_000), range(5, 250_000)], { onProgress: (count) => done.push(count) });
    expect(done.at(-1)).toBe(350_000);
    expect(done).toEqual(done.toSorted((a, b) => a - b));
  });

  test("cancelled before the start", async () => {
    await expect(make().digest([range(0, 10)], { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "cancelled" });
  });

  test("cancelled in the middle", async () => {
    const controller = new AbortController();
    const ranges = Array.from({ length: 20_000 }, () => range(0, bytes.length));
    const hashing = make().digest(ranges, { signal: controller.signal });
    controller.abort();
    await expect(hashing).rejects.toMatchObject({ code: "cancelled" });
  });

  test.each([
    ["a file that is gone", () => range(0, 10, "U8", join(folder, "none.bin"))],
    ["a range past the end", () => range(bytes.length - 5, 10)],
  ])("%s is an error that names the file", async (_name, makeRange) => {
    const bad = makeRange();
    await expect(make().digest([range(0, 10), bad])).rejects.toMatchObject({ message: expect.stringContaining(bad.path) });
  });
});

describe("a bundle's weights", () => {
  const hash = async (hasher: WeightHasher, length = 6) => {
    const file = "w.bin";
    await writeFile(join(folder, file), Buffer.from([0, 0x7c, 1, 0, 1, 0x7c, 9, 9]));
    const place = { file, dtype: "F16", offset: 0, length };
    const weight = { name: "a", dtype: "F16", shape: [3, 1], file: "", offset: 0, length };
    const progress: [number, number][] = [];
    const hashed = await hashWeights(hasher, folder, new Map([["a", place]]), new Map([["a", weight]]), {
      onProgress: (done, total) => progress.push([done, total]),
    });
    return { hashed, progress };
  };

  test.each(HASHERS)("with %s", async (_name, make) => {
    const { hashed, progress } = await hash(make());
    const expected = md5(Buffer.from([0, 0x7c, 1, 0, 1, 0x7c]));
    expect(hashed.get("a")).toEqual({ entry: { shape: [3, 1], dtype: "FLOAT16", hash: expected }, nan: 1, infinite: 1 });
    expect(progress.at(-1)).toEqual([6, 6]);
    expect(nonFiniteWarnings(hashed)).toEqual([
      "1 weight has values that are no finite numbers, so images may be black: a (1 NaN, 1 infinite)",
    ]);
  });

  test("a file that is too short is refused before it is read", async () => {
    await expect(hash(new CryptoHasher(), 10)).rejects.toMatchObject({ code: "file.truncated" });
  });

  test("warnings name three weights and count the rest", () => {
    const entry = { shape: [1], dtype: "FLOAT", hash: "" };
    const hashed = new Map(["a", "b", "c", "d", "e"].map((name) => [name, { entry, nan: name === "e" ? 0 : 2, infinite: 0 }]));
    expect(nonFiniteWarnings(hashed)).toEqual([
      "4 weights have values that are no finite numbers, so images may be black: " +
        "a (2 NaN, 0 infinite), b (2 NaN, 0 infinite), c (2 NaN, 0 infinite) and 1 more",
    ]);
    hashed.forEach((value, name) => hashed.set(name, { ...value, nan: 0 }));
    expect(nonFiniteWarnings(hashed)).toEqual([]);
  });
});
