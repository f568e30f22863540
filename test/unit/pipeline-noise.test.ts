import { describe, expect, test } from "vitest";
import { randomSeed, randomTensor, TorchGenerator } from "../../src/pipeline/noise.ts";
import { readFloats } from "./pipeline-fixtures.ts";

const fixture = readFloats(new URL("../fixtures/noise/noise.safetensors", import.meta.url));
const TOLERANCE = 2e-6;

function largestDifference(actual: Float32Array, expected: Float32Array): number {
  expect(actual.length).toBe(expected.length);
  return actual.reduce((largest, value, index) => Math.max(largest, Math.abs(value - expected[index]!)), 0);
}

function draws(seed: string, sizes: readonly number[]): Float32Array {
  const generator = new TorchGenerator(BigInt(seed));
  return Float32Array.from(sizes.flatMap((size) => [...generator.randn(size)]));
}

describe("torch.randn of a CPU generator", () => {
  const cases = [...fixture.keys()].filter((name) => !name.startsWith("batch"));

  test("the fixture has the seeds and sizes that the issue names", () => {
    for (const seed of ["0", "42", "2147483647", "9223372036854775807"])
      expect(cases.some((name) => name.startsWith(`${seed}:`))).toBe(true);
    for (const size of [1, 2, 15, 16, 17, 31, 32, 33, 100, 1024]) expect(cases).toContain(`42:${size}`);
  });

  test.each(cases)("seed and sizes %s", (name) => {
    const [seed, list] = name.split(":") as [string, string];
    const actual = draws(seed, list.split(",").map(Number));
    const expected = fixture.get(name)!;
    const shown = actual.length === expected.length ? actual : Float32Array.from([...actual.slice(0, 64), ...actual.slice(-64)]);
    expect(largestDifference(shown, expected)).toBeLessThanOrEqual(TOLERANCE);
  });

  test("a batch is one draw", () => {
    const noise = randomTensor(new TorchGenerator(7n), [3, 4, 8, 8]);
    expect(noise.dims).toEqual([3, 4, 8, 8]);
    expect(largestDifference(noise.data, fixture.get("batch 7:3,4,8,8")!)).toBeLessThanOrEqual(TOLERANCE);
  });

  test("no numbers at all", () => expect(new TorchGenerator(0n).randn(0)).toEqual(new Float32Array(0)));

  test.each([2n ** 64n, -(2n ** 63n) - 1n])("seed %s does not fit", (seed) => {
    expect(() => new TorchGenerator(seed)).toThrow(/does not fit in 64 bits/);
  });
});

test("a random seed has 63 bits, all of them used", () => {
  const seeds = Array.from({ length: 200 }, randomSeed);
  for (const seed of seeds) expect(seed >= 0n && seed < 2n ** 63n).toBe(true);
  expect(seeds.some((seed) => seed >= 2n ** 62n)).toBe(true);
  expect(seeds.some((seed) => seed < 2n ** 62n)).toBe(true);
  expect(new Set(seeds).size).toBe(seeds.length);
});
