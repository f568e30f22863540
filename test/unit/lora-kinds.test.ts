import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Delta, StackEntry } from "../../src/lora/delta.ts";
import { LoraFile } from "../../src/lora/lora-file.ts";
import { loadPreparedDelta, prepareDelta, writeDelta } from "../../src/lora/make-delta.ts";
import { matrixSize } from "../../src/lora/merge.ts";
import { OnnxRuntimeArithmetic } from "../../src/lora/onnxruntime-arithmetic.ts";
import { readDelta } from "../../src/lora/read-delta.ts";
import { StackArithmetic } from "../../src/lora/stack-arithmetic.ts";
import { planStack } from "../../src/lora/stack.ts";
import { openKindModel, openKinds, writeCase, type KindCase } from "../fixtures/lora/kind-cases.ts";
import type { TinyModel } from "../fixtures/lora/tiny-models.ts";

const STRENGTHS = ["-0.5", "0.3", "1.0", "1.7"];
const { file, cases, stacks } = await openKinds();
const arithmetic = new StackArithmetic(new OnnxRuntimeArithmetic(1));

let folder: string;
let model: TinyModel;
const deltas = new Map<string, Delta>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lora-kinds-"));
  model = await openKindModel(cases);
});

afterAll(async () => {
  await file.close();
  await rm(folder, { recursive: true });
});

async function deltaOf(name: string, strength = 1): Promise<Delta> {
  const key = `${name} ${strength}`;
  const known = deltas.get(key);
  if (known) return known;
  const lora = await LoraFile.open(await writeCase(folder, name, cases.get(name)!));
  const prepared = await prepareDelta(lora, model.base, strength);
  // PEFT's (IA)³ changes the bias too, which the model has not.
  expect(prepared.report.unmatched.filter(({ reason }) => !reason.endsWith("bias"))).toEqual([]);
  const delta = await loadPreparedDelta(prepared);
  await lora.close();
  deltas.set(key, delta);
  return delta;
}

async function merge(stack: readonly StackEntry[]): Promise<Map<string, Float32Array>> {
  const jobs = planStack([], stack).merge.map(({ name, shape, terms }) => {
    const base = model.weights.get(name)!;
    return { name, base, ...matrixSize(shape), shape, terms, out: new Float32Array(base.length) };
  });
  await arithmetic.merge(jobs);
  return new Map(jobs.map(({ name, out }) => [name, out]));
}

/** The rows of a merged weight that a case changes; the others must have the base's bits. */
function changedRows(merged: ReadonlyMap<string, Float32Array>, { weight, rows }: KindCase): Float32Array {
  const values = merged.get(weight)!;
  if (!rows) return values;
  const base = model.weights.get(weight)!;
  const width = base.length / model.base.weights.find(({ name }) => name === weight)!.shape[0]!;
  const [start, end] = [rows[0] * width, rows[1] * width];
  expect(values.subarray(0, start)).toEqual(base.subarray(0, start));
  expect(values.subarray(end)).toEqual(base.subarray(end));
  return values.subarray(start, end);
}

/** ≤ 1e-5 of the largest element. */
function expectClose(actual: Float32Array, expected: Float32Array, name: string): void {
  expect(actual.length).toBe(expected.length);
  let [error, largest] = [0, 0];
  for (let i = 0; i < actual.length; i++) {
    const difference = Math.abs(actual[i]! - expected[i]!);
    error = difference > error || Number.isNaN(difference) ? difference : error;
    largest = Math.max(largest, Math.abs(expected[i]!));
  }
  expect(error, name).toBeLessThanOrEqual(1e-5 * largest);
}

describe.each(Array.from(cases))("%s", (name, kindCase) => {
  it.each(STRENGTHS)("merges as the reference at strength %s", async (strength) => {
    const expected = await file.readFloat32(`${name}/${strength}`);
    const scaled = await merge([{ delta: await deltaOf(name), scale: Number(strength) }]);
    expectClose(changedRows(scaled, kindCase), expected, "the stack's scale");
    const own = await merge([{ delta: await deltaOf(name, Number(strength)), scale: 1 }]);
    expectClose(changedRows(own, kindCase), expected, "the delta's own strength");
  });

  it("is the same through a delta file, and dense", async () => {
    const lora = await LoraFile.open(await writeCase(folder, name, kindCase));
    const prepared = await prepareDelta(lora, model.base, 0.7);
    const readBase = (weight: string) => Promise.resolve(model.weights.get(weight)!);
    const [direct] = [await merge([{ delta: await loadPreparedDelta(prepared), scale: 1 }])];
    for (const dense of [undefined, arithmetic]) {
      const path = join(folder, `${name.replaceAll("/", "_")}.trt_lora`);
      await writeDelta(prepared, path, { dense, readBase });
      const { delta, unmatched } = await readDelta(path, model.base, readBase);
      expect(unmatched).toEqual([]);
      const fromFile = await merge([{ delta, scale: 1 }]);
      if (dense) for (const [weight, values] of direct) expectClose(fromFile.get(weight)!, values, weight);
      else expect(fromFile).toEqual(direct);
    }
    await lora.close();
  });
});

describe.each(Array.from(stacks))("the stack %s", (name, entries) => {
  it("is merged in its order", async () => {
    const stack = await Promise.all(entries.map(async ([each, scale]) => ({ delta: await deltaOf(each), scale })));
    const kindCase = cases.get(entries[0]![0])!;
    expectClose(changedRows(await merge(stack), kindCase), await file.readFloat32(`${name}/stack`), name);
  });
});
