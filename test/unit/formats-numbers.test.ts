import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { findNonFinite, fromFloat32, toFloat32, type NumericDtype } from "../../src/formats/numbers.ts";
import { fixture } from "./formats-support.ts";

/** Made by torch, see make_formats.py. */
const expected = JSON.parse(readFileSync(fixture("numbers.json"), "utf8")) as {
  widen: Record<string, string>;
  narrowRandom: Record<"F16" | "BF16", string>;
  narrowTies: Record<"F16" | "BF16", { inputs: string; outputs: string }>;
};

const QUIET_NAN = { F16: 0x7e00, BF16: 0x7fc0 };

function sha256(words: Uint32Array | Uint16Array): string {
  return createHash("sha256")
    .update(new Uint8Array(words.buffer, words.byteOffset, words.byteLength))
    .digest("hex");
}

function everyPattern(dtype: string): Uint8Array {
  if (dtype.startsWith("F8")) return Uint8Array.from({ length: 256 }, (_, i) => i);
  return new Uint8Array(Uint16Array.from({ length: 65_536 }, (_, i) => i).buffer);
}

function hashOfFloat32(values: Float32Array): string {
  const bits = new Uint32Array(values.buffer.slice(0));
  return sha256(bits.map((word) => ((word & 0x7fffffff) > 0x7f800000 ? 0x7fc00000 : word)));
}

function hashOfNarrowed(bits: Uint32Array<ArrayBuffer>, dtype: "F16" | "BF16"): string {
  const values = new Float32Array(bits.buffer);
  const bytes = fromFloat32(values, dtype);
  const words = new Uint16Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, values.length);
  // A NaN that became a number, or the other way round, must not be hidden.
  const largest = dtype === "F16" ? 0x7c00 : 0x7f80;
  words.forEach((word, i) => {
    if (Number.isNaN(values[i])) {
      expect(word & 0x7fff).toBeGreaterThan(largest);
      words[i] = QUIET_NAN[dtype];
    }
  });
  return sha256(words);
}

/** Every number halfway between two neighbours, and the float32 before and after it. */
function neighboursOfTies(dtype: "F16" | "BF16"): Uint32Array<ArrayBuffer> {
  const positive = toFloat32(everyPattern(dtype), dtype).subarray(0, 32_768);
  const finite = positive.filter((value) => Number.isFinite(value));
  const step = finite.at(-1)! - finite.at(-2)!;
  const ties = finite.map((value, i) => (value + (finite[i + 1] ?? value + step)) / 2);
  const bits = new Uint32Array(ties.buffer);
  return Uint32Array.from([...bits.map((word) => word - 1), ...bits, ...bits.map((word) => word + 1)]);
}

describe("widening gives torch's numbers for every pattern", () => {
  test.each(Object.entries(expected.widen))("%s", (dtype, hash) => {
    expect(hashOfFloat32(toFloat32(everyPattern(dtype), dtype as NumericDtype))).toBe(hash);
  });
});

describe.each(["F16", "BF16"] as const)("narrowing to %s gives torch's patterns", (dtype) => {
  test("for 200,000 random bit patterns", () => {
    let state = 1;
    const bits = Uint32Array.from({ length: 200_000 }, () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0));
    expect(hashOfNarrowed(bits, dtype)).toBe(expected.narrowRandom[dtype]);
  });

  test("at and beside every tie", () => {
    const bits = neighboursOfTies(dtype);
    expect(sha256(bits)).toBe(expected.narrowTies[dtype].inputs);
    expect(hashOfNarrowed(bits, dtype)).toBe(expected.narrowTies[dtype].outputs);
  });

  test("undoes widening for every pattern but NaN", () => {
    const values = toFloat32(everyPattern(dtype), dtype);
    const words = new Uint16Array(fromFloat32(values, dtype).buffer as ArrayBuffer);
    expect(words.findIndex((word, i) => word !== i && !Number.isNaN(values[i]))).toBe(-1);
  });
});

test.each([
  ["F64", new Float64Array([0.1, -1e300, 5e-324]), [Math.fround(0.1), -Infinity, 0]],
  ["I64", new BigInt64Array([-(2n ** 63n), 7n]), [-(2 ** 63), 7]],
  ["U64", new BigUint64Array([2n ** 64n - 1n, 7n]), [2 ** 64, 7]],
  ["I32", new Int32Array([-16_777_217, 5]), [-16_777_216, 5]],
  ["U16", new Uint16Array([65_535]), [65_535]],
  ["I8", new Int8Array([-128, 127]), [-128, 127]],
  ["BOOL", new Uint8Array([0, 1, 255]), [0, 1, 1]],
] as const)("%s becomes binary32", (dtype, source, values) => {
  expect([...toFloat32(new Uint8Array(source.buffer), dtype)]).toEqual(values);
});

test("bytes need not be aligned", () => {
  const shifted = new Uint8Array([9, ...new Uint8Array(new Float32Array([1.5, -2]).buffer)]).subarray(1);
  expect([...toFloat32(shifted, "F32")]).toEqual([1.5, -2]);
});

test("a part of a target is filled", () => {
  const target = new Float32Array(5).subarray(1);
  toFloat32(new Uint8Array([0x00, 0x3c, 0x00, 0xc0]), "F16", target, 1);
  expect([...target]).toEqual([0, 1, -2, 0]);
});

test("numbers that are not finite are counted", () => {
  expect(findNonFinite(new Float32Array([1, NaN, -Infinity, Infinity, 3.4e38, NaN, NaN]))).toEqual({ nan: 3, inf: 2 });
  expect(findNonFinite(new Float32Array([0, -0, 1e-45]))).toEqual({ nan: 0, inf: 0 });
});
