import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Comparisons, type ComparisonTarget } from "../../src/jobs/comparison/comparisons.ts";
import type { ComparisonDetail, ComparisonNumbers } from "../../src/jobs/comparison/types.ts";
import { Inspections } from "../../src/jobs/inspection/inspections.ts";
import type { HeatMapTile } from "../../src/jobs/inspection/types.ts";
import { PlainArithmetic } from "../../src/lora/plain-arithmetic.ts";
import { StackArithmetic } from "../../src/lora/stack-arithmetic.ts";
import { loraModule, numpyReference, randomNumbers, writeTensors } from "./inspection-support.ts";
import { HUE, INK, recordingContext } from "./jobs-support.ts";

const arithmetic = new StackArithmetic(new PlainArithmetic());
let folder: string;
let inspections: Inspections;
let comparisons: Comparisons;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "comparison-"));
  inspections = new Inspections(arithmetic);
  comparisons = new Comparisons(inspections, arithmetic);
});
afterAll(async () => {
  await inspections.closeAll();
  await rm(folder, { recursive: true, force: true });
});

function of(a: readonly string[], b: readonly string[], scale = 1): ComparisonTarget {
  return { a: a.map((file) => ({ file, scale: 1 })), b: b.map((file) => ({ file, scale })) };
}

/** Compares, and gives what its layers are asked by. */
async function opened(target: ComparisonTarget) {
  const context = recordingContext();
  const { result, state } = await comparisons.compare(target, context);
  const at = (layer: string) => ({ ...target, state, layer });
  return { result, context, at, detail: (layer: string) => comparisons.detail(at(layer)) };
}

function pixels({ values }: HeatMapTile): Float32Array {
  return new Float32Array(new Uint8Array(Buffer.from(values, "base64")).buffer);
}

describe.skipIf(!process.env["TEST_PYTHON"])("numpy's numbers", () => {
  type Reference = Required<Pick<ComparisonDetail, "singularValuesA" | "singularValuesB" | "singularValuesDifference" | "maximum">> & {
    readonly corner: readonly (readonly number[])[];
  };
  const SPECTRA = ["singularValuesA", "singularValuesB", "singularValuesDifference"] as const;

  /**
   * @param rounding what is less, beside the largest singular value, is rounding: of factors in double precision 1e-13, of products in
   * fp32 and of Gram matrices the square root of their precision
   */
  async function expectReference(a: string, b: string, rounding: number): Promise<void> {
    const { at, detail } = await opened(of([a], [b]));
    const expected = Object.entries(numpyReference<Reference>(a, b));
    expect(expected.length).toBeGreaterThan(0);
    for (const [name, reference] of expected) {
      const found = await detail(name);
      const largest = Math.max(reference.singularValuesA[0]!, reference.singularValuesB[0]!);
      for (const key of SPECTRA) {
        const values = found[key]!;
        // numpy's dense matrices have more of them: what is beyond the rank is zero.
        for (const [index, value] of reference[key].entries())
          expect(Math.abs((values[index] ?? 0) - value), `${name} ${key} ${index}`).toBeLessThanOrEqual(rounding * largest);
      }
      expect(found.maximum!, `${name} maximum`).toBeCloseTo(reference.maximum, 5);
      const tile = await comparisons.tile(at(name), { level: 0, x: 0, y: 0 });
      for (const [row, values] of reference.corner.entries())
        for (const [column, value] of values.entries())
          expect(pixels(tile)[row * tile.width + column], `${name} ${row} ${column}`).toBeCloseTo(value, 5);
    }
  }

  test("of the demo's LoRAs, from their factors", () => expectReference(INK, HUE, 1e-9));

  test("of a difference against factors, element by element", async () => {
    const a = await writeTensors(join(folder, "a.safetensors"), loraModule("lora_unet_y", { out: 30, inputs: 20, rank: 5, seed: 2 }));
    const b = await writeTensors(join(folder, "b.safetensors"), {
      "lora_unet_y.diff": { shape: [30, 20], values: randomNumbers(4, 600, 0.1) },
    });
    await expectReference(a, b, 1e-6);
  });
});

const SIZE = { out: 12, inputs: 10, rank: 2 };

test("a layer of one side alone: the difference is what that side adds, or takes away", async () => {
  const [only, other] = [
    await writeTensors(join(folder, "only.safetensors"), loraModule("lora_unet_x", { ...SIZE, seed: 1 })),
    await writeTensors(join(folder, "other.safetensors"), loraModule("lora_unet_z", { ...SIZE, seed: 2 })),
  ];
  const place = { level: 0, x: 0, y: 0 };
  const alone = await opened(of([only], []));
  const change = pixels(await comparisons.tile(alone.at("lora_unet_x"), place));
  const { singularValuesA, singularValuesB, singularValuesDifference, maximum } = await alone.detail("lora_unet_x");
  expect(singularValuesB).toBeUndefined();
  expect(singularValuesDifference).toEqual(singularValuesA);
  expect(maximum).toBe(Math.max(...change.map(Math.abs)));
  const [taken, added] = [await opened(of([only], [other])), await opened(of([other], [only]))];
  const negative = pixels(await comparisons.tile(taken.at("lora_unet_x"), place));
  expect(Array.from(negative)).toEqual(Array.from(change, (value) => -value));
  expect(Array.from(pixels(await comparisons.tile(added.at("lora_unet_x"), place)))).toEqual(Array.from(change));
  expect(await taken.detail("lora_unet_x")).toMatchObject({ comparison: { in: "a" }, rows: 12, columns: 10 });
});

test("the same on both sides has no difference at all, not that of rounding", async () => {
  const { detail } = await opened(of([INK], [INK]));
  const { comparison, singularValuesA, singularValuesDifference, maximum } = await detail("lora_unet_input_blocks_4_1_proj_in");
  expect(comparison.difference).toBe(0);
  expect(maximum).toBe(0);
  expect(singularValuesA![0]).toBeGreaterThan(0);
  expect(new Set(singularValuesDifference)).toEqual(new Set([0]));
});

test("layers that cannot be compared say why, and have no picture", async () => {
  const nan = loraModule("lora_unet_x", { ...SIZE, seed: 1 });
  nan["lora_unet_x.lora_up.weight"]!.values[0] = NaN;
  const [a, b] = [
    await writeTensors(join(folder, "nan.safetensors"), nan),
    await writeTensors(join(folder, "finite.safetensors"), loraModule("lora_unet_x", { ...SIZE, seed: 2 })),
  ];
  const { at, detail } = await opened(of([a], [b]));
  const found = await detail("lora_unet_x");
  expect(found).toEqual({
    comparison: expect.objectContaining({ reason: "It has 1 NaN and 0 infinite values." }) as object,
    rows: 12,
    columns: 10,
  });
  await expect(comparisons.tile(at("lora_unet_x"), { level: 0, x: 0, y: 0 })).rejects.toThrow("1 NaN");
  await expect(detail("lora_unet_nowhere")).rejects.toThrow("There is no layer lora_unet_nowhere.");
});

test("a layer that could not be read, which is known late, does not put away the one that is looked at since", async () => {
  const layers = ["lora_unet_x", "lora_unet_z"] as const;
  const [diffs, factors] = [
    Object.fromEntries(layers.map((name) => [`${name}.diff`, { shape: [12, 10], values: randomNumbers(4, 120, 0.1) }])),
    { ...loraModule(layers[0], { ...SIZE, seed: 1 }), ...loraModule(layers[1], { ...SIZE, seed: 2 }) },
  ];
  const { at } = await opened(
    of([await writeTensors(join(folder, "diffs.safetensors"), diffs)], [await writeTensors(join(folder, "factors.safetensors"), factors)]),
  );
  let fail = (_error: Error): void => {};
  const gone = new Promise<never>((_resolve, reject) => (fail = reject));
  let merges = 0;
  const late = { merge: (...jobs: Parameters<typeof arithmetic.merge>) => (merges++ === 0 ? gone : arithmetic.merge(...jobs)) };
  const looked = new Comparisons(inspections, late);
  const tile = (layer: string) => looked.tile(at(layer), { level: 0, x: 0, y: 0 });
  /** How often the arithmetic is asked for a tile. */
  const cost = async (layer: string): Promise<number> => {
    const before = merges;
    await tile(layer);
    return merges - before;
  };
  const unread = tile(layers[0]);
  await vi.waitFor(() => expect(merges).toBe(1));
  const first = await cost(layers[1]);
  const again = await cost(layers[1]);
  expect(again).toBeLessThan(first);
  fail(new Error("gone"));
  await expect(unread).rejects.toThrow("gone");
  expect(await cost(layers[1])).toBe(again);
  expect(await cost(layers[0])).toBe(first);
});

test("at strength 0 a side changes nothing", async () => {
  const still = await opened(of([INK], [INK], 0));
  expect(still.result.totals).toMatchObject({ layersInA: 192, layersInB: 0, layersInBoth: 0, normB: 0 });
  const { result } = await opened({ a: [{ file: INK, scale: 0 }], b: [] });
  expect(result).toMatchObject({ layers: [], totals: { layersInA: 0, normA: 0, difference: 0 } });
});

test("a detail of a file that is another now is refused, and one that is cancelled ends", async () => {
  const a = await writeTensors(join(folder, "changing.safetensors"), loraModule("lora_unet_x", { ...SIZE, seed: 1 }));
  const { at, detail } = await opened(of([a], [HUE]));
  await expect(comparisons.detail(at("lora_unet_x"), AbortSignal.abort())).rejects.toMatchObject({ code: "cancelled" });
  await utimes(a, new Date(), new Date(Date.now() + 5_000));
  await expect(detail("lora_unet_x")).rejects.toThrow("A file has changed since it was compared. Compare again.");
});

describe("results are kept", () => {
  const small = (name: string, seed: number) =>
    writeTensors(join(folder, name), {
      ...loraModule("lora_unet_x", { ...SIZE, seed }),
      ...loraModule("lora_unet_y", { ...SIZE, seed: seed + 10 }),
    });

  test("by what the files hold and their strengths, and read instead of computed", async () => {
    const cache = join(folder, "cache");
    const [a, b] = [await small("kept-a.safetensors", 1), await small("kept-b.safetensors", 2)];
    const first = await opened({ ...of([a], [b]), cache });
    expect(first.context.stages.length).toBeGreaterThan(0);
    const [entry] = await readdir(cache);
    // What is on the disk is what is shown, for other files of the same bytes too.
    const stored = JSON.parse(await readFile(join(cache, entry!), "utf8")) as ComparisonNumbers;
    await writeFile(join(cache, entry!), JSON.stringify({ ...stored, totals: { ...stored.totals, normA: 42 } }));
    const copy = join(folder, "kept-copy.safetensors");
    await writeFile(copy, await readFile(a));
    const again = await opened({ ...of([copy], [b]), cache });
    expect(again.context.stages).toEqual([]);
    expect(again.result).toMatchObject({ a: ["kept-copy.safetensors × 1"], totals: { normA: 42 } });
    expect(again.result.layers).toEqual(first.result.layers);
    // Another strength, the other way round, one more on a side: each is a comparison of its own.
    await opened({ ...of([a], [b], 0.5), cache });
    await opened({ ...of([b], [a]), cache });
    await opened({ ...of([a, b], []), cache });
    expect(await readdir(cache)).toHaveLength(4);
    // An entry that cannot be read is computed again.
    await writeFile(join(cache, entry!), "{");
    expect((await opened({ ...of([a], [b]), cache })).result).toEqual(first.result);
  });

  test("not where it was cancelled, and a folder that cannot be written is no error", async () => {
    const cache = join(folder, "cancelled");
    const target = { ...of([await small("c-a.safetensors", 3)], [await small("c-b.safetensors", 4)]), cache };
    const controller = new AbortController();
    const context = recordingContext({ signal: controller.signal, onProgress: () => controller.abort() });
    await expect(comparisons.compare(target, context)).rejects.toMatchObject({ code: "cancelled" });
    await expect(readdir(cache)).rejects.toMatchObject({ code: "ENOENT" });
    const file = join(folder, "file");
    await writeFile(file, "");
    expect((await opened({ ...target, cache: join(file, "below") })).result.totals.layersInBoth).toBe(2);
  });
});
