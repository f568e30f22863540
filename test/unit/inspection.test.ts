import { mkdtemp, rm, truncate, utimes, writeFile, readdir, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SafetensorsFile } from "../../src/formats/safetensors.ts";
import { InspectionBase } from "../../src/jobs/inspection/inspection-base.ts";
import { findBase, Inspections } from "../../src/jobs/inspection/inspections.ts";
import { NEEDS_BASE } from "../../src/jobs/inspection/layers.ts";
import { OpenInspection } from "../../src/jobs/inspection/open-inspection.ts";
import type { LayerStatistics } from "../../src/jobs/inspection/types.ts";
import { PlainArithmetic } from "../../src/lora/plain-arithmetic.ts";
import { StackArithmetic } from "../../src/lora/stack-arithmetic.ts";
import { openKinds, writeCase } from "../fixtures/lora/kind-cases.ts";
import { knownValues } from "../fixtures/lora/known-values.ts";
import { componentOf, openTinyModel, type TinyModel } from "../fixtures/lora/tiny-models.ts";
import { loraModule, numpyReference, randomNumbers, writeTensors } from "./inspection-support.ts";
import { CHECKPOINT, INK } from "./jobs-support.ts";

const arithmetic = new StackArithmetic(new PlainArithmetic());
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "inspection-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function statisticsOf(path: string, base?: string): Promise<Map<string, LayerStatistics>> {
  const inspections = new Inspections(arithmetic);
  try {
    const { state, layers } = await inspections.open({ path, base });
    const rows = await inspections.statistics({ path, base, state }, [...layers.keys()]);
    return new Map(rows.map((row) => [row.name, row]));
  } finally {
    await inspections.closeAll();
  }
}

interface Reference {
  readonly norm: number;
  readonly spectralNorm: number;
  readonly effectiveRank: number;
  readonly maximum: number;
  readonly mean: number;
  readonly sparsity: number;
  readonly singularValues: readonly number[];
  readonly histogram: readonly number[];
  readonly rows: readonly number[];
  readonly columns: readonly number[];
}

/** Linear layers and convolutions in three dtypes, and a whole difference with zeros in it. */
function mixedLora(path: string): Promise<string> {
  const sparse = randomNumbers(9, 48 * 20);
  for (let i = 0; i < sparse.length; i += 3) sparse[i] = 0;
  return writeTensors(path, {
    ...loraModule("lora_unet_input_blocks_4_1_proj_in", { out: 60, rank: 7, inputs: 40, alpha: 3, seed: 1 }),
    ...loraModule("lora_unet_middle_block_0_in_layers_2", {
      out: 32,
      rank: 4,
      inputs: 24,
      kernel: [3, 3],
      alpha: 4,
      seed: 2,
      dtype: "F16",
    }),
    ...loraModule("lora_unet_output_blocks_2_1_proj_out", { out: 16, rank: 24, inputs: 20, seed: 3, dtype: "BF16" }),
    "lora_unet_output_blocks_0_0_in_layers_2.diff": { shape: [48, 20], values: sparse },
  });
}

describe.skipIf(!process.env["TEST_PYTHON"])("numpy's numbers", () => {
  test.each([
    ["of a LoRA of several kinds", () => mixedLora(join(folder, "mixed.safetensors"))],
    ["of the demo's LoRA", () => Promise.resolve(INK)],
  ])("%s", async (_, write) => {
    const path = await write();
    const [actual, expected] = [await statisticsOf(path), numpyReference<Reference>(path)];
    expect(actual.size).toBe(Object.keys(expected).length);
    for (const [name, reference] of Object.entries(expected)) {
      const row = actual.get(name)!;
      for (const key of ["norm", "spectralNorm", "effectiveRank", "maximum", "sparsity"] as const) {
        expect(Math.abs(row[key]! - reference[key]), `${name} ${key}`).toBeLessThanOrEqual(1e-5 * Math.abs(reference[key]));
      }
      expect(Math.abs(row.mean! - reference.mean), `${name} mean`).toBeLessThanOrEqual(1e-6 * reference.maximum);
    }
  });

  test("of a layer's detail: singular values, histogram, top rows and columns", async () => {
    const path = await mixedLora(join(folder, "detail.safetensors"));
    const expected = numpyReference<Reference>(path);
    const inspections = new Inspections(arithmetic);
    const { state, layers } = await inspections.open({ path });
    for (const [index, { name }] of layers.entries()) {
      const detail = await inspections.detail({ path, state }, index);
      const reference = expected[name]!;
      const values = detail.singularValues!;
      const rank = layers[index]!.rank ?? values.length;
      expect(values.length).toBe(Math.min(rank, detail.rows, detail.columns));
      values.forEach((value, i) => expect(Math.abs(value - reference.singularValues[i]!)).toBeLessThanOrEqual(1e-6 * values[0]!));
      // An element at the edge of a bin may be rounded into the next.
      const moved = detail.histogram!.counts.reduce((sum, count, i) => sum + Math.abs(count - reference.histogram[i]!), 0);
      expect(moved).toBeLessThanOrEqual(4);
      expect(detail.histogram!.counts.reduce((sum, count) => sum + count, 0)).toBe(detail.rows * detail.columns);
      expect(detail.topRows!.map((each) => each.index)).toEqual(reference.rows);
      expect(detail.topColumns!.map((each) => each.index)).toEqual(reference.columns);
    }
    await inspections.closeAll();
  });
});

describe("every kind of update", async () => {
  const { file, cases } = await openKinds();
  let model: TinyModel;
  let base: InspectionBase;
  beforeAll(async () => {
    const tiny = await openTinyModel("sdxl");
    const weights = new Map(tiny.weights);
    const described = [...tiny.base.weights];
    for (const { weight, tensors } of cases.values()) {
      if (weights.has(weight)) continue;
      const [[shape]] = Object.values(tensors) as [readonly [readonly number[], number, number, string]];
      weights.set(weight, knownValues(weight, shape, 0, 1));
      described.push({ name: weight, shape, component: componentOf(weight) });
    }
    model = { base: { ...tiny.base, weights: described }, weights };
    base = new InspectionBase(model.base, { path: "tiny", read: (name) => Promise.resolve(weights.get(name)!) });
  });
  afterAll(() => file.close());

  test.each(Array.from(cases))("%s: the change as merged at strength 1, with the base and without", async (name, kindCase) => {
    const { weight, rows } = kindCase;
    const merged = await file.readFloat32(`${name}/1.0`);
    const whole = model.weights.get(weight)!;
    const width = whole.length / model.base.weights.find((each) => each.name === weight)!.shape[0]!;
    const before = rows ? whole.subarray(rows[0] * width, rows[1] * width) : whole;
    const expected = merged.map((value, index) => value - before[index]!);
    const norm = Math.sqrt(expected.reduce((sum, value) => sum + value * value, 0));
    const baseNorm = Math.sqrt(whole.reduce((sum, value) => sum + value * value, 0));
    const tolerance = 1e-5 * (norm + baseNorm);

    const path = await writeCase(folder, `${name} inspected`, kindCase);
    const withBase = await OpenInspection.open(path, { base, arithmetic });
    const index = withBase.layers.findIndex((layer) => layer.name === weight);
    const [row] = await withBase.statistics([index], undefined);
    expect(Math.abs(row!.norm! - norm)).toBeLessThanOrEqual(tolerance);
    expect(row!.relativeNorm).toBeCloseTo(norm / baseNorm, 4);
    expect(row!.maximum).toBeCloseTo(Math.max(...expected.map(Math.abs)), 4);
    await withBase.close();

    const alone = await OpenInspection.open(path, { arithmetic });
    const [own] = await alone.statistics([0], undefined);
    const dependsOnBase = /DoRA|OFT|IA|GLoRA|set_weight/.test(own!.kind);
    if (dependsOnBase) expect(own).toMatchObject({ reason: NEEDS_BASE });
    else expect(Math.abs(own!.norm! - norm)).toBeLessThanOrEqual(tolerance);
    await alone.close();
  });
});

test("the base gives relative norms and its own names", async () => {
  const rows = await statisticsOf(INK, CHECKPOINT);
  const name = "model.diffusion_model.input_blocks.4.1.proj_in.weight";
  const row = rows.get(name)!;
  const checkpoint = await SafetensorsFile.open(CHECKPOINT);
  const norm = Math.sqrt((await checkpoint.readFloat32(name)).reduce((sum, value) => sum + value * value, 0));
  await checkpoint.close();
  expect(row.baseNorm).toBeCloseTo(norm, 4);
  expect(row.relativeNorm).toBeCloseTo(row.norm! / norm, 6);
});

test("a checkpoint's tensors are its layers, in one pass each", async () => {
  const path = await writeTensors(join(folder, "tensors.safetensors"), {
    weight: { shape: [3, 4], values: Float32Array.of(0, 1, -2, 0, 4, 0, 0, -8, 0, 0, 0, 3) },
    empty: { shape: [0, 4], values: new Float32Array(0) },
  });
  const rows = await statisticsOf(path);
  expect(rows.get("weight")).toMatchObject({ kind: "tensor", maximum: 8, mean: -2 / 12, sparsity: 7 / 12, nan: 0, infinite: 0 });
  expect(rows.get("weight")!.norm).toBeCloseTo(Math.sqrt(94), 12);
  expect(rows.get("empty")).toMatchObject({ norm: 0, maximum: 0, sparsity: 0 });
});

test("NaN and infinite values are counted, and said instead of numbers", async () => {
  const tensors = loraModule("lora_unet_a", { out: 4, rank: 2, inputs: 4, seed: 5 });
  tensors["lora_unet_a.lora_up.weight"]!.values.set([NaN, Infinity, NaN]);
  const path = await writeTensors(join(folder, "nan.safetensors"), tensors);
  const row = (await statisticsOf(path)).get("lora_unet_a")!;
  expect(row).toMatchObject({ nan: 2, infinite: 1, reason: "It has 2 NaN and 1 infinite values." });
  expect(row.norm).toBeUndefined();
});

test("statistics are kept by what the file holds", async () => {
  const cache = join(folder, "cache");
  const path = await mixedLora(join(folder, "cached.safetensors"));
  const read = async (file: string) => {
    const inspections = new Inspections(arithmetic);
    const { state, layers } = await inspections.open({ path: file, cache });
    const rows = await inspections.statistics({ path: file, state, cache }, [...layers.keys()]);
    await inspections.closeAll();
    return rows;
  };
  const first = await read(path);
  const [entry, ...others] = await readdir(cache);
  expect(others).toEqual([]);
  // What is on the disk is what is shown, for another file of the same bytes too.
  const stored = JSON.parse(await readFile(join(cache, entry!), "utf8")) as LayerStatistics[];
  await writeFile(join(cache, entry!), JSON.stringify([{ ...stored[0], norm: 42 }, ...stored.slice(1)]));
  const copy = join(folder, "copy.safetensors");
  await writeFile(copy, await readFile(path));
  expect((await read(copy))[0]!.norm).toBe(42);
  // One byte more, and they are not.
  const changed = await writeTensors(
    join(folder, "changed.safetensors"),
    loraModule("lora_unet_a", { out: 4, rank: 2, inputs: 4, seed: 6 }),
  );
  await read(changed);
  expect(await readdir(cache)).toHaveLength(2);
  // An entry that cannot be read is computed again.
  await writeFile(join(cache, entry!), "{");
  expect(await read(path)).toEqual(first);
});

test("a file that changes or is cut off while it is open is an error that says so", async () => {
  const path = await mixedLora(join(folder, "changing.safetensors"));
  const inspections = new Inspections(arithmetic);
  const { state } = await inspections.open({ path });
  await utimes(path, new Date(), new Date(Date.now() + 5_000));
  await expect(inspections.statistics({ path, state }, [0])).rejects.toMatchObject({
    message: expect.stringContaining("has changed") as string,
  });
  await truncate(path, 2_000);
  await expect(inspections.open({ path })).rejects.toMatchObject({ code: "file.truncated" });
  await rm(path);
  await expect(inspections.open({ path })).rejects.toMatchObject({ code: "file.missing" });
  await inspections.closeAll();
});

test("a cancelled request ends between two layers", async () => {
  const path = await mixedLora(join(folder, "cancelled.safetensors"));
  const inspections = new Inspections(arithmetic);
  const { state } = await inspections.open({ path });
  await expect(inspections.statistics({ path, state }, [0, 1, 2], AbortSignal.abort())).rejects.toMatchObject({ code: "cancelled" });
  expect(await inspections.statistics({ path, state }, [0, 1, 2])).toHaveLength(3);
  await inspections.closeAll();
});

test("tiles show the values themselves, from a distance the largest of each square", async () => {
  const values = randomNumbers(7, 300 * 700);
  const path = await writeTensors(join(folder, "tile.safetensors"), { weight: { shape: [300, 700], values } });
  const inspections = new Inspections(arithmetic);
  const { state } = await inspections.open({ path });
  const tile = async (level: number, x: number, y: number) => {
    const { width, height, values: text } = await inspections.tile({ path, state }, 0, { level, x, y });
    return { width, height, pixels: new Float32Array(new Uint8Array(Buffer.from(text, "base64")).buffer) };
  };
  const near = await tile(0, 2, 1);
  expect([near.width, near.height]).toEqual([700 - 512, 300 - 256]);
  expect(near.pixels[3 * near.width + 5]).toBe(values[(256 + 3) * 700 + 512 + 5]);
  const far = await tile(2, 0, 0);
  expect([far.width, far.height]).toEqual([175, 75]);
  const square = [0, 1, 2, 3].flatMap((row) => Array.from(values.subarray((8 + row) * 700 + 40, (8 + row) * 700 + 44)));
  expect(far.pixels[2 * 175 + 10]).toBe(square.toSorted((a, b) => Math.abs(b) - Math.abs(a))[0]);
  await expect(tile(0, 3, 0)).rejects.toThrow("There is no tile 3, 0 of level 0.");
  await expect(tile(9, 0, 0)).rejects.toThrow("There is no tile");
  await inspections.closeAll();
});

test("a delta's base is found by its fingerprint among what can be read", async () => {
  const { fingerprint } = await import("../../src/formats/fingerprint.ts");
  const wanted = await fingerprint(CHECKPOINT);
  expect(await findBase(wanted, [join(folder, "missing"), INK, CHECKPOINT])).toBe(CHECKPOINT);
  expect(await findBase(wanted, [INK])).toBeUndefined();
});
