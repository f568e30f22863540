import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { CompareResult, LayerComparison } from "../../src/jobs/comparison/types.ts";
import { PlainArithmetic } from "../../src/lora/plain-arithmetic.ts";
import { StackArithmetic } from "../../src/lora/stack-arithmetic.ts";
import { EngineCache } from "../../src/jobs/engine-cache.ts";
import { loraModule, numpyReference, randomNumbers, writeTensors } from "./inspection-support.ts";
import { CHECKPOINT, HUE, INK, recordingContext, run, temporaryFolder } from "./jobs-support.ts";

const engines = new EngineCache(new StackArithmetic(new PlainArithmetic()));
const folder = temporaryFolder();

type Reference = Pick<LayerComparison, "normA" | "normB" | "cosine" | "ratio" | "difference" | "overlapOutputs" | "overlapInputs">;

function compare(options: object): Promise<CompareResult> {
  return run("compare", options, engines);
}

function byName({ layers }: CompareResult): Map<string, LayerComparison> {
  return new Map(layers.map((layer) => [layer.name, layer]));
}

describe.skipIf(!process.env["TEST_PYTHON"])("numpy's numbers", () => {
  const KEYS = ["normA", "normB", "cosine", "ratio", "difference", "overlapOutputs", "overlapInputs"] as const;

  function expectReference(actual: CompareResult, expected: Readonly<Record<string, Reference>>): void {
    const layers = byName(actual);
    for (const [name, reference] of Object.entries(expected)) {
      const row = layers.get(name)!;
      for (const key of KEYS) {
        if (reference[key] === undefined) expect(row[key], `${name} ${key}`).toBeUndefined();
        else
          expect(Math.abs(row[key]! - reference[key]), `${name} ${key}`).toBeLessThanOrEqual(2e-6 * Math.max(1, Math.abs(reference[key])));
      }
    }
    expect(Object.keys(expected).length).toBe(actual.totals.layersInBoth);
  }

  test("of the demo's LoRAs", async () => {
    const result = await compare({ a: [{ file: INK }], b: [{ file: HUE }] });
    expectReference(result, numpyReference<Reference>(INK, HUE));
    expect(result.totals).toMatchObject({ layersInBoth: 192, layersInA: 0, layersInB: 78 });
  });

  test("of different ranks, and of a difference against factors", async () => {
    const shared = { out: 30, inputs: 20 };
    const a = await writeTensors(join(folder, "a.safetensors"), {
      ...loraModule("lora_unet_x", { ...shared, rank: 3, seed: 1, alpha: 1 }),
      ...loraModule("lora_unet_y", { ...shared, rank: 5, seed: 2 }),
    });
    const b = await writeTensors(join(folder, "b.safetensors"), {
      ...loraModule("lora_unet_x", { ...shared, rank: 6, seed: 3, dtype: "F16" }),
      "lora_unet_y.diff": { shape: [30, 20], values: randomNumbers(4, 600, 0.1) },
    });
    expectReference(await compare({ a: [{ file: a }], b: [{ file: b }] }), numpyReference<Reference>(a, b));
  });
});

test("one LoRA at two strengths: the same directions, norms as the strengths", async () => {
  const { layers, totals } = await compare({ a: [{ file: INK }], b: [{ file: INK, scale: -0.5 }] });
  for (const { cosine, ratio, overlapOutputs, overlapInputs } of layers) {
    expect(cosine).toBeCloseTo(-1, 9);
    expect(ratio).toBeCloseTo(0.5, 6);
    expect(overlapOutputs).toBeCloseTo(1, 9);
    expect(overlapInputs).toBeCloseTo(1, 9);
  }
  expect(totals.difference).toBeCloseTo(1.5 * totals.normA, 5);
  const same = await compare({ a: [{ file: INK }], b: [{ file: INK }] });
  expect(same.totals).toMatchObject({ difference: 0, ratio: 1 });
});

test("a stack is the sum of its parts, and nothing is what it would change", async () => {
  const stack = [
    { file: INK, scale: 0.8 },
    { file: HUE, scale: 0.5 },
  ];
  const [alone, against] = [await compare({ a: stack }), await compare({ a: stack, b: [{ file: INK, scale: 0.8 }] })];
  expect(alone.b).toEqual([]);
  expect(alone.a).toEqual(["ink.safetensors × 0.8", "opposite-hue.safetensors × 0.5"]);
  const hue = byName(await compare({ a: [{ file: HUE, scale: 0.5 }] }));
  // What the second adds is what is left when the first is taken away.
  for (const { name, difference } of against.layers) expect(difference!).toBeCloseTo(hue.get(name)?.normA ?? 0, 4);
  expect(alone.totals).toMatchObject({ layersInA: 270, layersInB: 0, layersInBoth: 0 });
  expect(alone.totals.cosine).toBeUndefined();
});

test("with a base: relative changes, and a LoRA against its own delta", async () => {
  const withBase = await compare({ a: [{ file: INK }], b: [{ file: HUE }], base: CHECKPOINT });
  const row = withBase.layers[0]!;
  expect(row.name).toBe("model.diffusion_model.input_blocks.4.1.proj_in.weight");
  expect(row.relativeDifference! / row.relativeA!).toBeCloseTo(row.difference! / row.normA!, 9);
  expect(withBase.base).toBe(CHECKPOINT);
});

test("layers that cannot be compared say why, and leave the totals alone", async () => {
  const nan = loraModule("lora_unet_x", { out: 4, rank: 2, inputs: 4, seed: 1 });
  nan["lora_unet_x.lora_up.weight"]!.values[0] = NaN;
  const a = await writeTensors(join(folder, "nan.safetensors"), {
    ...nan,
    ...loraModule("lora_unet_y", { out: 4, rank: 2, inputs: 4, seed: 2 }),
  });
  const b = await writeTensors(join(folder, "other.safetensors"), {
    ...loraModule("lora_unet_x", { out: 4, rank: 2, inputs: 4, seed: 3 }),
    ...loraModule("lora_unet_y", { out: 5, rank: 2, inputs: 4, seed: 4 }),
  });
  const { layers, totals } = await compare({ a: [{ file: a }], b: [{ file: b }] });
  expect(layers.map(({ reason }) => reason)).toEqual([
    "It has 1 NaN and 0 infinite values.",
    "A changes a matrix of 4 × 4, B one of 5 × 4.",
  ]);
  expect(totals).toMatchObject({ normA: 0, normB: 0, difference: 0 });
});

test("what is no LoRA, and names that differ, are said", async () => {
  await expect(compare({ a: [{ file: CHECKPOINT }] })).rejects.toMatchObject({ code: "lora.unsupported" });
  await expect(compare({ a: [] })).rejects.toMatchObject({ code: "option.invalid" });
  const other = await writeTensors(join(folder, "names.safetensors"), loraModule("lora_unet_z", { out: 4, rank: 2, inputs: 4, seed: 1 }));
  const { notes } = await compare({ a: [{ file: INK }], b: [{ file: other }] });
  expect(notes[0]).toContain("no layer in common");
});

test("a cancelled comparison ends, and progress is told", async () => {
  const controller = new AbortController();
  const context = recordingContext({ signal: controller.signal, onProgress: () => controller.abort() });
  await expect(run("compare", { a: [{ file: INK }], b: [{ file: HUE }] }, engines, context)).rejects.toMatchObject({ code: "cancelled" });
  expect(context.stages[0]).toMatchObject({ stage: "comparing the layers" });
});
