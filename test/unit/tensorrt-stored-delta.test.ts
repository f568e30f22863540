import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { toNativeChanges } from "../../src/engines/tensorrt/stack-changes.ts";
import { openStoredDelta } from "../../src/engines/tensorrt/stored-delta.ts";
import type { RefittableWeight } from "../../src/formats/engine-bundle.ts";
import { writeDeltaFile, type ChangeSource, type ChangeTensor } from "../../src/formats/delta-writer.ts";
import { fromFloat32, type WeightDtype } from "../../src/formats/numbers.ts";
import type { BaseDescription } from "../../src/lora/base.ts";
import { readDelta } from "../../src/lora/read-delta.ts";
import type { FactoredChange } from "../../src/lora/delta.ts";
import { planStack } from "../../src/lora/stack.ts";

const FINGERPRINT = "ab".repeat(32);
const WEIGHTS = { linear: [6, 4], convolution: [6, 2, 3, 3] } as const;

const base: BaseDescription = {
  name: "base",
  architecture: "sd1",
  fingerprint: FINGERPRINT,
  configuration: { textEncoders: [], prediction: "epsilon", betaStart: 0.00085, betaEnd: 0.012, zeroTerminalSnr: false },
  weights: Object.entries(WEIGHTS).map(([name, shape]) => ({ name: `${name}.weight`, shape, component: "unet" })),
};

function tensor(dtype: WeightDtype, shape: readonly number[], seed: number): ChangeTensor {
  const count = shape.reduce((product, size) => product * size, 1);
  return {
    dtype,
    shape,
    chunks: async function* () {
      yield fromFloat32(
        Float32Array.from({ length: count }, (_, index) => Math.sin(seed + index)),
        dtype,
      );
    },
  };
}

function lowRank(name: string, up: readonly [WeightDtype, number], down: readonly [WeightDtype, number], rank: number): ChangeSource {
  return { name, kind: "lowRank", up: tensor(up[0], [up[1], rank], 1), down: tensor(down[0], [rank, down[1]], 2) };
}

describe("deltas whose factors stay in the file", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "stored-delta-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  async function write(name: string, changes: readonly ChangeSource[], fingerprint = FINGERPRINT): Promise<string> {
    const path = join(folder, `${name}.trt_lora`);
    const metadata = {
      baseEngine: "base",
      baseFingerprint: fingerprint,
      architecture: "sd1",
      loraFile: "a.safetensors",
      loraStrength: 0.5,
    };
    await writeDeltaFile(path, metadata, changes, {});
    return path;
  }

  const good = [lowRank("linear.weight", ["F16", 6], ["BF16", 4], 2), lowRank("convolution.weight", ["F32", 6], ["F16", 18], 3)];

  test("hold the same numbers as deltas that are read", async () => {
    const path = await write("good", good);
    const stored = (await openStoredDelta(path, base))!;
    const { delta } = await readDelta(path, base, () => Promise.reject(new Error("not needed")));
    expect([...stored.changes.keys()]).toEqual([...delta.changes.keys()]);
    expect({ ...stored, changes: 0 }).toEqual({ ...delta, changes: 0 });
    for (const [name, change] of delta.changes) {
      const { kind, rank, up, down, shape } = { ...stored.changes.get(name)! } as typeof change & { kind: "lowRank" };
      expect({ kind, rank, up, down, shape }).toEqual(change);
    }
  });

  const weights = new Map(
    base.weights.map(({ name, shape }): [string, RefittableWeight] => {
      return [name, { name, shape: [...shape], dtype: "F16", file: "unused", offset: 0, length: 0 }];
    }),
  );

  test("travel to the native side as places in the file, with the stack's scales", async () => {
    const path = await write("places", good);
    const delta = (await openStoredDelta(path, base))!;
    const { merge } = planStack(
      [],
      [
        { delta, scale: 0.25 },
        { delta, scale: 0.5 },
      ],
    );
    const changes = toNativeChanges(weights, merge);
    expect(changes.map(({ name, terms }) => [name, terms.length, terms[0]!.scale, terms[0]!.rank])).toEqual([
      ["convolution.weight", 1, 0.75, 3],
      ["linear.weight", 1, 0.75, 2],
    ]);
    const { up } = changes[1]!.terms[0]!;
    expect(up).toMatchObject({ file: path, dtype: "F16", count: 12 });
  });

  const dense: ChangeSource = { name: "linear.weight", kind: "dense", values: tensor("BF16", [6, 4], 3) };
  const loha = new Map([
    ["hada_w1_a", tensor("F16", [6, 2], 4)],
    ["hada_w1_b", tensor("F16", [2, 4], 5)],
    ["hada_w2_a", tensor("F32", [6, 2], 6)],
    ["hada_w2_b", tensor("BF16", [2, 4], 7)],
    ["alpha", tensor("F32", [], 8)],
  ]);

  test("of other kinds travel as programs whose factors are places in the file; dense changes are one place", async () => {
    const path = await write("kinds", [
      { name: "linear.weight", kind: "factors", factors: loha },
      { ...dense, name: "convolution.weight", values: tensor("BF16", [6, 2, 3, 3], 3) },
    ]);
    const delta = (await openStoredDelta(path, base))!;
    const changes = toNativeChanges(weights, planStack([], [{ delta, scale: 0.5 }]).merge);
    const [convolution, linear] = changes.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    expect(convolution!.terms).toMatchObject([{ rank: 0, scale: 0.5, up: { file: path, dtype: "BF16", count: 108 } }]);
    const { factors, scratch, code } = linear!.program!;
    expect(factors).toMatchObject([
      { file: path, dtype: "F16", count: 12 },
      { file: path, dtype: "F16", count: 8 },
      { file: path, dtype: "F32", count: 12 },
      { file: path, dtype: "BF16", count: 8 },
    ]);
    expect(scratch).toEqual([]);
    // The scale: the stack's, the delta's own, alpha / rank.
    expect(Array.from(code).some((value) => Math.abs(value - (0.5 * 0.5 * Math.sin(8)) / 2) < 1e-7)).toBe(true);
  });

  test("of other kinds are the same on the host as those that are read", async () => {
    const path = await write("host", [{ name: "linear.weight", kind: "factors", factors: loha }]);
    const stored = (await openStoredDelta(path, base))!.changes.get("linear.weight")! as FactoredChange;
    const { delta } = await readDelta(path, base, () => Promise.reject(new Error("not needed")));
    const read = delta.changes.get("linear.weight")! as FactoredChange;
    expect(stored.strength).toBe(read.strength);
    for (const [name, { shape, values }] of read.parts[0]!.factors) {
      const own = stored.parts[0]!.factors.get(name)!;
      expect([own.shape, own.values], name).toEqual([shape, values]);
    }
  });

  test.each([
    ["factors of another size", [{ name: "convolution.weight", kind: "factors", factors: loha } as const], FINGERPRINT],
    ["another base", good, "cd".repeat(32)],
    ["a weight the engine does not have", [lowRank("other.weight", ["F16", 6], ["F16", 4], 1)], FINGERPRINT],
    ["a change of another shape", [lowRank("linear.weight", ["F16", 6], ["F16", 5], 1)], FINGERPRINT],
  ])("%s is left to readDelta", async (name, changes, fingerprint) => {
    expect(await openStoredDelta(await write(name.replaceAll(" ", "-"), changes, fingerprint), base)).toBeUndefined();
  });
});
