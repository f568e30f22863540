import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SafetensorsFile } from "../../src/formats/safetensors.ts";
import { fromFloat32 } from "../../src/formats/numbers.ts";
import { writeSafetensors } from "../../src/formats/safetensors-writer.ts";
import type { BaseDescription } from "../../src/lora/base.ts";
import type { Delta, StackEntry } from "../../src/lora/delta.ts";
import { LoraFile } from "../../src/lora/lora-file.ts";
import { parseLoraKey } from "../../src/lora/lora-keys.ts";
import { loadPreparedDelta, prepareDelta, writeDelta } from "../../src/lora/make-delta.ts";
import { matrixSize } from "../../src/lora/merge.ts";
import { OnnxRuntimeArithmetic } from "../../src/lora/onnxruntime-arithmetic.ts";
import { readDelta } from "../../src/lora/read-delta.ts";
import { isLinearChange, StackArithmetic } from "../../src/lora/stack-arithmetic.ts";
import { planStack } from "../../src/lora/stack.ts";
import { openCheckpoint } from "../../src/models/open-checkpoint.ts";
import { knownValues } from "../fixtures/lora/known-values.ts";
import { openKinds, writeCase } from "../fixtures/lora/kind-cases.ts";
import { openTinyModel } from "../fixtures/lora/tiny-models.ts";

const EMOJI = join(import.meta.dirname, "../../demo/emoji-xl");
const arithmetic = new StackArithmetic(new OnnxRuntimeArithmetic(2));
const { file, cases } = await openKinds();
const onLinear = Array.from(cases).filter(([, { target, weight }]) => target === "linear" && weight.endsWith("to_k.weight"));

let folder: string;
let base: BaseDescription;
let tinyWeights: ReadonlyMap<string, Float32Array>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lora-properties-"));
  ({ base, weights: tinyWeights } = await openTinyModel("sdxl"));
});

afterAll(async () => {
  await file.close();
  await rm(folder, { recursive: true });
});

let state = 11;

/** Numbers from 0 to 1, the same in every run (Park and Miller's generator). */
function random(): number {
  state = (state * 48_271) % 0x7fffffff;
  return state / 0x7fffffff;
}

async function load(path: string, of: BaseDescription): Promise<Delta> {
  const lora = await LoraFile.open(path);
  try {
    return await loadPreparedDelta(await prepareDelta(lora, of));
  } finally {
    await lora.close();
  }
}

/** Weights held as an engine holds them: those that differ from the base, by name. */
class Weights {
  readonly #base: ReadonlyMap<string, Float32Array>;
  readonly changed = new Map<string, Float32Array>();

  constructor(values: ReadonlyMap<string, Float32Array>) {
    this.#base = values;
  }

  async set(stack: readonly StackEntry[]): Promise<this> {
    const { merge, restore } = planStack(this.changed.keys(), stack);
    for (const name of restore) this.changed.delete(name);
    const jobs = merge.map(({ name, shape, terms }) => {
      const from = this.#base.get(name)!;
      return { name, base: from, ...matrixSize(shape), shape, terms, out: new Float32Array(from.length) };
    });
    await arithmetic.merge(jobs);
    for (const { name, out } of jobs) this.changed.set(name, out);
    return this;
  }

  bits(): Map<string, Uint32Array> {
    return new Map(Array.from(this.#base, ([name, values]) => [name, new Uint32Array((this.changed.get(name) ?? values).slice().buffer)]));
  }

  largestDifference(other: Weights): number {
    let largest = 0;
    for (const [name, values] of this.changed) {
      const theirs = other.changed.get(name)!;
      for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]! - theirs[i]!));
    }
    return largest;
  }
}

describe.each(onLinear)("%s", (name, kindCase) => {
  it("at scale 0 is the base", async () => {
    const delta = await load(await writeCase(folder, name, kindCase), base);
    const weights = new Weights(tinyWeights);
    const before = weights.bits();
    await weights.set([{ delta, scale: 1 }]);
    expect(weights.bits()).not.toEqual(before);
    await weights.set([{ delta, scale: 0 }]);
    expect(weights.bits()).toEqual(before);
  });

  it("where it is linear, is split and swapped freely", async () => {
    const delta = await load(await writeCase(folder, name, kindCase), base);
    const other = await load(await writeCase(folder, "lora/linear", cases.get("lora/linear")!), base);
    const isLinear = Array.from(delta.changes.values()).every(isLinearChange);
    const set = (...stack: StackEntry[]) => new Weights(tinyWeights).set(stack);
    const whole = await set({ delta, scale: 0.9 }, { delta: other, scale: 0.5 });
    const split = await set({ delta, scale: 0.4 }, { delta: other, scale: 0.5 }, { delta, scale: 0.5 });
    const swapped = await set({ delta: other, scale: 0.5 }, { delta, scale: 0.9 });
    if (isLinear) {
      expect(whole.largestDifference(split)).toBeLessThan(1e-6);
      expect(whole.largestDifference(swapped)).toBeLessThan(1e-6);
    } else if (!name.startsWith("set-weight") && !name.startsWith("ia3-") && !name.startsWith("peft-ia3")) {
      expect(whole.largestDifference(split)).toBeGreaterThan(1e-5);
    }
  });
});

describe("emoji-xl", () => {
  it("ends A, B, A in A's bits and a walk of 100 stacks in the base's", async () => {
    const checkpoint = await openCheckpoint(join(EMOJI, "emoji-xl.safetensors"));
    const { architecture, configuration } = checkpoint;
    const described = Array.from(checkpoint.components, ([component, table]) =>
      Array.from(table.values(), (weight) => ({ name: weight.name, shape: weight.shape, component })),
    ).flat();
    const emoji = { name: "emoji-xl", architecture, fingerprint: "", configuration, weights: described };
    const deltas = [await load(join(EMOJI, "ink.safetensors"), emoji), await load(join(EMOJI, "opposite-hue.safetensors"), emoji)];
    // Kinds that are not linear, on weights that the LoRAs change too.
    const targets = Array.from(deltas[0]!.changes, ([name, { shape }]) => ({ name, shape })).filter(({ shape }) => shape.length === 2);
    deltas.push(await load(await writeMixed(targets.slice(0, 24)), emoji));
    const weights = new Map<string, Float32Array>();
    const names = new Set(deltas.flatMap((delta) => [...delta.changes.keys()]));
    const source = await SafetensorsFile.open(join(EMOJI, "emoji-xl.safetensors"));
    for (const name of names) weights.set(name, await source.readFloat32(name));
    await source.close();

    const held = new Weights(weights);
    const atBase = held.bits();
    const a: StackEntry[] = deltas.map((delta, index) => ({ delta, scale: 0.5 + index / 4 }));
    const atA = (await held.set(a)).bits();
    await held.set([{ delta: deltas[2]!, scale: -1 }]);
    expect((await held.set(a)).bits()).toEqual(atA);
    for (let step = 0; step < 100; step++) {
      const stack = deltas.filter(() => random() > 0.6).map((delta) => ({ delta, scale: 2 * random() - 0.5 }));
      await held.set(stack);
    }
    expect((await held.set([])).bits()).toEqual(atBase);
  }, 120_000);

  /** LoHa with magnitudes, LoKr and OFT in turns, over the weights given. */
  async function writeMixed(targets: readonly { readonly name: string; readonly shape: readonly number[] }[]): Promise<string> {
    const tensors = targets.flatMap(({ name, shape }, index): [string, readonly number[], number, number][] => {
      const module = name.slice("model.".length, -".weight".length);
      const [rows, columns] = shape as [number, number];
      const matrix = (factor: string, a: number, b: number): [string, number[], number, number] => [
        `${module}.${factor}`,
        [a, b],
        0,
        0.125,
      ];
      if (index % 3 === 0) {
        const halves = ["1", "2"].flatMap((half) => [matrix(`hada_w${half}_a`, rows, 2), matrix(`hada_w${half}_b`, 2, columns)]);
        return [...halves, [`${module}.dora_scale`, [rows, 1], 1, 0.5]];
      }
      if (index % 3 === 1) return [matrix("lokr_w1", 2, 2), matrix("lokr_w2", rows / 2, columns / 2)];
      return [[`${module}.oft_blocks`, [rows / 4, 4, 4], 0, 0.25]];
    });
    const path = join(folder, "mixed.safetensors");
    const sources = tensors.map(([name, shape, offset, scale]) => {
      const bytes = fromFloat32(knownValues(name, shape, offset, scale), "F32");
      return { name, shape, dtype: "F32", chunks: () => [bytes] };
    });
    await writeSafetensors(path, sources, {});
    return path;
  }
});

describe("hostile files", () => {
  const some = Array.from(cases).filter(([name]) => /\/(linear|3x3|fused)$/.test(name) && !/^(bias|norm)\//.test(name));

  it("of every kind, with header bytes and shapes changed, are read or refused", async () => {
    let read = 0;
    for (const [name, kindCase] of some) {
      const whole = await readFile(await writeCase(folder, name, kindCase));
      const headerLength = Number(whole.readBigUInt64LE(0));
      const path = join(folder, "fuzz.safetensors");
      for (let run = 0; run < 12; run++) {
        const bytes = Buffer.from(whole);
        for (let change = 0; change < 1 + random() * 3; change++)
          bytes[8 + Math.floor(random() * headerLength)] = Math.floor(random() * 128);
        await writeFile(path, bytes);
        if (await survives(path)) read++;
      }
      const values = Buffer.from(whole);
      for (let change = 0; change < 40; change++)
        values[8 + headerLength + Math.floor(random() * (whole.length - 8 - headerLength))] = Math.floor(random() * 256);
      await writeFile(path, values);
      if (await survives(path)) read++;
    }
    expect(read).toBeGreaterThan(some.length / 2);
  }, 120_000);

  /** Whether a file can be applied; one that cannot must be refused in words. */
  async function survives(path: string): Promise<boolean> {
    try {
      const delta = await load(path, base);
      await new Weights(tinyWeights).set([{ delta, scale: 0.5 }]);
      return true;
    } catch (error) {
      expect((error as Error).name, (error as Error).stack).toBe("UserError");
      return false;
    }
  }

  it("that are deltas of every kind too", async () => {
    const readBase = (name: string) => Promise.resolve(tinyWeights.get(name)!);
    for (const [name, kindCase] of some) {
      const lora = await LoraFile.open(await writeCase(folder, name, kindCase));
      const path = join(folder, "fuzz.trt_lora");
      await writeDelta(await prepareDelta(lora, base), path);
      await lora.close();
      const whole = await readFile(path);
      const headerLength = Number(whole.readBigUInt64LE(0));
      for (let run = 0; run < 12; run++) {
        const bytes = Buffer.from(whole);
        for (let change = 0; change < 1 + random() * 3; change++)
          bytes[8 + Math.floor(random() * headerLength)] = Math.floor(random() * 128);
        await writeFile(path, bytes);
        try {
          const { delta } = await readDelta(path, base, readBase);
          await new Weights(tinyWeights).set([{ delta, scale: 0.5 }]);
        } catch (error) {
          expect((error as Error).name, (error as Error).stack).toBe("UserError");
        }
      }
    }
  }, 120_000);

  it("have keys of any text", () => {
    const parts = ["lora_up", "lora_A", ".weight", "hada_w1_a", "oft_R", ".", "..", "\0", "bundle_emb", "alpha", "a".repeat(5000)];
    const names = Array.from({ length: 5000 }, () =>
      Array.from({ length: 1 + Math.floor(random() * 6) }, () => parts[Math.floor(random() * parts.length)]).join(""),
    );
    const keys = names.map((name) => [name, parseLoraKey(name)] as const);
    expect(keys.filter(([name, key]) => key && !name.startsWith(`${key.module}.`))).toEqual([]);
    expect(keys.some(([, key]) => key !== undefined)).toBe(true);
  });
});
