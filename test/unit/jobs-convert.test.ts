import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { DeltaFile } from "../../src/formats/delta-file.ts";
import { fromFloat32 } from "../../src/formats/numbers.ts";
import { writeSafetensors } from "../../src/formats/safetensors-writer.ts";
import { SafetensorsFile } from "../../src/formats/safetensors.ts";
import { describeFile } from "../../src/jobs/describe.ts";
import { CHECKPOINT, failure, filesUnder, INK, recordingContext, run } from "./jobs-support.ts";
import { hashTensors, toolTests } from "./tools-support.ts";

const { folder, engines, fresh, latents } = toolTests();
const engine = join(folder, "emoji");
/** Whole weights in fp32, as other tools write them: those of the checkpoint with a LoRA, and one that did not change. */
const version1 = join(folder, "ink-v1.trt_lora");
const UNCHANGED = "model.diffusion_model.input_blocks.0.0.weight";
let output: string;

beforeAll(async () => {
  await run("export", { checkpoint: CHECKPOINT, output: engine }, engines);
  const { file } = await run("delta", { engine, lora: INK, dense: true, output: join(folder, "dense.trt_lora") }, engines);
  const [base, delta] = [await SafetensorsFile.open(CHECKPOINT), await DeltaFile.open(file)];
  const weights = [];
  for (const [name, change] of delta.changes) {
    if (change.kind !== "dense") throw new Error(`${name} is ${change.kind}`);
    const [values, before] = [await delta.read(change.values), await base.readFloat32(name)];
    const full = values.map((value, i) => value + before[i]!);
    weights.push({ name, dtype: "F32", shape: base.entry(name).shape, chunks: () => [fromFloat32(full, "F32")] });
  }
  const same = await base.readFloat32(UNCHANGED);
  weights.push({ name: UNCHANGED, dtype: "F32", shape: base.entry(UNCHANGED).shape, chunks: () => [fromFloat32(same, "F32")] });
  await writeSafetensors(version1, weights, {});
  await base.close();
  await delta.close();
});

beforeEach(() => {
  output = fresh("converted", ".trt_lora");
});

const convert = (options: object = {}) => run("delta", { engine, lora: version1, output, ...options }, engines);

function difference(actual: Float32Array, expected: Float32Array): number {
  return Math.max(...actual.map((value, i) => Math.abs(value - expected[i]!))) / Math.max(...expected.map(Math.abs));
}

describe("a delta of version 1 that is converted", () => {
  test.each([1, 0.4, -0.7])("does at scale %f what its LoRA does, and weights that did not change are left out", async (scale) => {
    const { matched, unmatched, cached } = await convert();
    expect([matched.length, unmatched, cached]).toEqual([192, [], false]);
    expect(matched).not.toContain(UNCHANGED);
    expect(difference(await latents(engine, [{ file: output, scale }]), await latents(engine, [{ file: INK, scale }]))).toBeLessThan(1e-5);
  });

  test("holds exactly what version 1 gives in a stack", async () => {
    await convert();
    const [bake1, bake2] = [fresh("baked"), fresh("baked")];
    await run("bake", { checkpoint: engine, lora: [{ file: version1, scale: 0.3 }], output: bake1 }, engines);
    await run("bake", { checkpoint: engine, lora: [{ file: output, scale: 0.3 }], output: bake2 }, engines);
    expect(await hashTensors(bake2)).toEqual(await hashTensors(bake1));
  });

  test("is told from what it becomes by its description", async () => {
    await convert();
    expect(await describeFile(version1)).toEqual({ path: version1, kind: "delta", deltaVersion: 1, layers: 193 });
    expect(await describeFile(output)).toMatchObject({ kind: "delta", deltaVersion: 2, layers: 192, architecture: "sdxl" });
  });

  test("with a strength is that of the strength", async () => {
    await convert({ strength: 0.5 });
    const delta = await DeltaFile.open(output);
    await delta.close();
    expect([delta.version, delta.metadata.loraStrength, delta.metadata.dense]).toEqual([2, 0.5, true]);
    expect(difference(await latents(engine, [{ file: output }]), await latents(engine, [{ file: INK, scale: 0.5 }]))).toBeLessThan(1e-5);
  });

  test("to a rank keeps factors, says what that drops, and is small", async () => {
    const { warnings } = await convert({ rank: 8 });
    expect(warnings.join()).toMatch(/the factors differ from the changes by \d\.\d\de-[34]/);
    const delta = await DeltaFile.open(output);
    await delta.close();
    expect([...delta.changes.values()].every((change) => change.kind === "lowRank" && change.rank <= 8)).toBe(true);
    expect(difference(await latents(engine, [{ file: output }]), await latents(engine, [{ file: INK }]))).toBeLessThan(2e-2);
    expect((await failure(convert({ rank: 8 }))).code).toBe("file.exists");
    expect((await convert({ energy: 0.5, overwrite: true })).warnings.join()).toMatch(/differ from the changes by [4-7]\.\d\de-1/);
  });
});

describe("is refused, and nothing is left behind:", () => {
  const cases: readonly (readonly [string, () => object | Promise<object>, string, RegExp])[] = [
    [
      "a delta of version 2",
      async () => ({ lora: (await run("delta", { engine, lora: INK }, engines)).file }),
      "delta.invalid",
      /version 2 already/,
    ],
    ["a rank for a LoRA", () => ({ lora: INK, rank: 4 }), "option.invalid", /--rank and --energy are for deltas of version 1/],
    ["a strength of 0", () => ({ strength: 0 }), "lora.noChange", /strength 0/],
    [
      "the engine's own weights",
      async () => {
        const path = join(folder, "same.trt_lora");
        const file = await SafetensorsFile.open(CHECKPOINT);
        const bytes = await file.readBytes(UNCHANGED);
        const { dtype, shape } = file.entry(UNCHANGED);
        await file.close();
        await writeSafetensors(path, [{ name: UNCHANGED, dtype, shape, chunks: () => [bytes] }], {});
        return { lora: path };
      },
      "lora.noChange",
      /the engine's own/,
    ],
  ];

  test.each(cases)("%s", async (_name, options, code, message) => {
    const given = await options();
    const before = filesUnder(folder);
    const error = await failure(convert(given));
    expect(error.message).toMatch(message);
    expect(error.code).toBe(code);
    expect(filesUnder(folder)).toEqual(before);
  });

  test.each(["reading the delta", "writing the delta"])("cancelled while %s", async (stage) => {
    const controller = new AbortController();
    const context = recordingContext({
      signal: controller.signal,
      onProgress: (progress) => void (progress.stage === stage && controller.abort()),
    });
    const before = filesUnder(folder);
    const error = await failure(run("delta", { engine, lora: version1, output }, engines, context));
    expect(error.code).toBe("cancelled");
    expect(filesUnder(folder)).toEqual(before);
  });
});
