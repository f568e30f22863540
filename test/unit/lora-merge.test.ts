import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SafetensorsFile } from "../../src/formats/safetensors.ts";
import type { Delta } from "../../src/lora/delta.ts";
import { LoraFile } from "../../src/lora/lora-file.ts";
import { loadPreparedDelta, prepareDelta, writeDelta, type DeltaReport } from "../../src/lora/make-delta.ts";
import { matrixSize } from "../../src/lora/merge.ts";
import { OnnxRuntimeArithmetic } from "../../src/lora/onnxruntime-arithmetic.ts";
import { readDelta } from "../../src/lora/read-delta.ts";
import { StackArithmetic } from "../../src/lora/stack-arithmetic.ts";
import { planStack } from "../../src/lora/stack.ts";
import { FOLDER, openTinyModel, type TinyModel } from "../fixtures/lora/tiny-models.ts";

/** Merged by diffusers and peft (make_lora.py). */
const STRENGTHS = ["-0.5", "0.3", "1.0", "1.7"];

/** File -> what it holds ("alpha": fp16, ranks and alphas by layer; "plain": bf16, no alpha; "float32"; "folder": PEFT's own). */
const FILES: readonly (readonly ["sd1" | "sdxl", string, string])[] = (["sd1", "sdxl"] as const).flatMap((model) => [
  [model, "alpha", `${model}-alpha-kohya-diffusers.safetensors`] as const,
  [model, "alpha", `${model}-alpha-kohya-ldm.safetensors`] as const,
  [model, "alpha", `${model}-alpha-dotted-ldm.safetensors`] as const,
  [model, "alpha", `${model}-alpha-peft-metadata.safetensors`] as const,
  [model, "plain", `${model}-plain-old-diffusers.safetensors`] as const,
  [model, "plain", `${model}-plain-peft-adapter.safetensors`] as const,
  [model, "plain", `${model}-plain-peft.safetensors`] as const,
  [model, "float32", `${model}-float32-kohya-diffusers.safetensors`] as const,
  [model, "float32", `${model}-float32-kohya-ldm.safetensors`] as const,
  [model, "folder", join(`${model}-folder`, "adapter_model.safetensors")] as const,
]);

const arithmetic = new StackArithmetic(new OnnxRuntimeArithmetic(1));
const models: Partial<Record<string, TinyModel>> = {};
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lora-merge-"));
  for (const name of ["sd1", "sdxl"] as const) models[name] = await openTinyModel(name);
});

afterAll(() => rm(folder, { recursive: true }));

async function merge({ weights }: TinyModel, stack: readonly { delta: Delta; scale: number }[]): Promise<Map<string, Float32Array>> {
  const jobs = planStack([], stack).merge.map(({ name, shape, terms }) => {
    const base = weights.get(name)!;
    return { name, job: { base, ...matrixSize(shape), terms, out: new Float32Array(base.length) } };
  });
  await arithmetic.merge(jobs.map(({ job }) => job));
  return new Map(jobs.map(({ name, job }) => [name, job.out]));
}

/** As make_lora.py's `signed_sum`: and the sum of magnitudes, which rounding is relative to. */
function signedSum(values: Float32Array): { sum: number; magnitude: number } {
  let sum = 0;
  let magnitude = 0;
  for (const [index, value] of values.entries()) {
    sum += Math.imul(index, 2654435761) < 0 ? -value : value;
    magnitude += Math.abs(value);
  }
  return { sum, magnitude };
}

function largestError(a: Float32Array, b: Float32Array): { error: number; largest: number } {
  expect(a.length).toBe(b.length);
  let error = 0;
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    error = Math.max(error, Math.abs(a[i]! - b[i]!));
    largest = Math.max(largest, Math.abs(b[i]!));
  }
  return { error, largest };
}

async function makeDelta(file: string, model: TinyModel, strength: number): Promise<{ delta: Delta; report: DeltaReport }> {
  const lora = await LoraFile.open(join(FOLDER, file));
  const prepared = await prepareDelta(lora, model.base, strength);
  const delta = await loadPreparedDelta(prepared);
  await lora.close();
  return { delta, report: prepared.report };
}

async function checkAgainstReference(
  merged: ReadonlyMap<string, Float32Array>,
  expected: SafetensorsFile,
  strength: string,
): Promise<void> {
  const names = JSON.parse(expected.metadata.get("names")!) as string[];
  expect(Array.from(merged.keys()).toSorted()).toEqual(names);
  const probes = new Float64Array((await expected.readBytes(`${strength}/probes`)).slice().buffer);
  names.forEach((name, index) => {
    const { sum, magnitude } = signedSum(merged.get(name)!);
    expect(Math.abs(sum - probes[index]!), name).toBeLessThanOrEqual(1e-7 * magnitude);
  });
  let shown = 0;
  for (const name of names) {
    if (!expected.tensors.has(`${strength}/${name}`)) continue;
    const { error, largest } = largestError(merged.get(name)!, await expected.readFloat32(`${strength}/${name}`));
    expect(error, name).toBeLessThanOrEqual(1e-6 * largest);
    shown++;
  }
  expect(shown).toBeGreaterThan(0);
}

describe.each(FILES)("%s %s: %s", (name, content, file) => {
  it("matches every module", async () => {
    const { report } = await makeDelta(file, models[name]!, 1);
    expect(report.unmatched).toEqual([]);
    expect(report.suspicious).toEqual([]);
  });

  it.each(STRENGTHS)("merges as diffusers and peft do at strength %s", async (strength) => {
    const model = models[name]!;
    const expected = await SafetensorsFile.open(join(FOLDER, `${name}-${content}-expected.safetensors`));
    const { delta: unscaled } = await makeDelta(file, model, 1);
    await checkAgainstReference(await merge(model, [{ delta: unscaled, scale: Number(strength) }]), expected, strength);
    const { delta: scaled } = await makeDelta(file, model, Number(strength));
    await checkAgainstReference(await merge(model, [{ delta: scaled, scale: 1 }]), expected, strength);
    await expected.close();
  });

  it.each([undefined, arithmetic])("is the same through a file (%#)", async (dense) => {
    const model = models[name]!;
    const path = join(folder, `${name}-${content}.trt_lora`);
    const lora = await LoraFile.open(join(FOLDER, file));
    const prepared = await prepareDelta(lora, model.base, 1.7);
    await writeDelta(prepared, path, { dense });
    const inMemory = await loadPreparedDelta(prepared);
    await lora.close();
    const { delta, unmatched } = await readDelta(path, model.base, () => Promise.reject(new Error("not needed")));
    expect(unmatched).toEqual([]);
    const [fromFile, direct] = [await merge(model, [{ delta, scale: 1 }]), await merge(model, [{ delta: inMemory, scale: 1 }])];
    expect(Array.from(fromFile.keys())).toHaveLength(direct.size);
    for (const [weight, values] of direct) {
      const { error, largest } = largestError(fromFile.get(weight)!, values);
      expect(error, weight).toBeLessThanOrEqual(dense ? 1e-6 * largest : 0);
    }
  });
});
