import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { toNativeChanges } from "../../src/engines/tensorrt/stack-changes.ts";
import { isStored, openStoredDelta } from "../../src/engines/tensorrt/stored-delta.ts";
import type { RefittableWeight } from "../../src/formats/engine-bundle.ts";
import { writeDeltaFile, type ChangeSource, type ChangeTensor } from "../../src/formats/delta-writer.ts";
import { fromFloat32, type WeightDtype } from "../../src/formats/numbers.ts";
import type { BaseDescription } from "../../src/lora/base.ts";
import { readDelta } from "../../src/lora/read-delta.ts";
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
    const weights = new Map(
      base.weights.map(({ name, shape }): [string, RefittableWeight] => {
        return [name, { name, shape: [...shape], dtype: "F16", file: "unused", offset: 0, length: 0 }];
      }),
    );
    const changes = await toNativeChanges(folder, weights, merge, { merge: () => Promise.reject(new Error("not needed")) }, undefined);
    expect(changes.map(({ name, terms }) => [name, terms.length, terms[0]!.scale, terms[0]!.rank])).toEqual([
      ["convolution.weight", 1, 0.75, 3],
      ["linear.weight", 1, 0.75, 2],
    ]);
    const { up } = changes[1]!.terms[0]!;
    expect(up).toMatchObject({ file: path, dtype: "F16", count: 12 });
    expect(isStored(delta.changes.get("linear.weight")!)).toBe(true);
  });

  const dense: ChangeSource = { name: "linear.weight", kind: "dense", values: tensor("F32", [6, 4], 3) };
  test.each([
    ["a dense change", [dense], FINGERPRINT],
    ["another base", good, "cd".repeat(32)],
    ["a weight the engine does not have", [lowRank("other.weight", ["F16", 6], ["F16", 4], 1)], FINGERPRINT],
    ["a change of another shape", [lowRank("linear.weight", ["F16", 6], ["F16", 5], 1)], FINGERPRINT],
  ])("%s is left to readDelta", async (name, changes, fingerprint) => {
    expect(await openStoredDelta(await write(name.replaceAll(" ", "-"), changes, fingerprint), base)).toBeUndefined();
  });
});
