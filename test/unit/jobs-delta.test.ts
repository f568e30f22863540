import { copyFileSync, existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { DeltaFile } from "../../src/formats/delta-file.ts";
import { fromFloat32 } from "../../src/formats/numbers.ts";
import { SafetensorsFile } from "../../src/formats/safetensors.ts";
import { writeSafetensors } from "../../src/formats/safetensors-writer.ts";
import type { Tensor } from "../../src/formats/tensor.ts";
import type { LoadedBundle } from "../../src/jobs/engine-cache.ts";
import { randomTensor, TorchGenerator } from "../../src/pipeline/noise.ts";
import {
  CHECKPOINT,
  failure,
  filesUnder,
  HUE,
  INK,
  newEngines,
  recordingContext,
  rewriteSafetensors,
  run,
  temporaryFolder,
} from "./jobs-support.ts";

const folder = temporaryFolder();
const engines = newEngines();
const bundle = join(folder, "emoji");
let model: LoadedBundle;
let inputs: Record<string, Tensor>;
let output: string;
let count = 0;

beforeAll(async () => {
  await run("export", { checkpoint: CHECKPOINT, output: bundle }, engines);
  model = await engines.load(bundle, "auto", recordingContext());
  const { inChannels, contextWidth, admWidth } = model.configuration.unet!;
  const generator = new TorchGenerator(3n);
  inputs = {
    x: randomTensor(generator, [1, inChannels, 8, 8]),
    timesteps: { dims: [1], data: Float32Array.of(500) },
    context: randomTensor(generator, [1, 77, contextWidth]),
    y: randomTensor(generator, [1, admWidth]),
  };
});

afterAll(() => engines.unloadAll());

beforeEach(() => {
  output = join(folder, `delta-${count++}.trt_lora`);
});

const makeDelta = (options: object) => run("delta", { engine: bundle, ...options }, engines);

/** The UNet's output with LoRAs or deltas in the stack. */
async function outputWith(...files: (readonly [string, number])[]): Promise<Float32Array> {
  const stack = await Promise.all(
    files.map(async ([file, scale]) => ({ delta: (await model.adapters.load(file, undefined)).delta, scale })),
  );
  await model.engine.setStack(stack);
  const values = (await model.engine.run("unet", inputs))["output"]!.data;
  await model.engine.setStack([]);
  return values;
}

function relativeDifference(actual: Float32Array, expected: Float32Array): number {
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return actual.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0) / largest;
}

describe("a delta", () => {
  test("has its place and name of contract.md", async () => {
    const { file, cached, matched, unmatched, warnings } = await makeDelta({ lora: INK });
    expect(file).toBe(join(folder, "emoji_ink_s1.00.trt_lora"));
    expect([cached, matched.length, unmatched, warnings]).toEqual([false, 192, [], []]);
    const opened = await SafetensorsFile.open(file);
    await opened.close();
    expect(Object.fromEntries(opened.metadata)).toMatchObject({
      format: "trt_lora/2",
      base_engine: "emoji",
      base_fingerprint: model.bundle.checkpoint.fingerprint,
      architecture: "sdxl",
      lora_file: "ink.safetensors",
      lora_strength: "1",
      num_deltas: "192",
    });
  });

  test("does what its LoRA does", async () => {
    await makeDelta({ lora: HUE, output });
    expect(await outputWith([output, 0.7])).toEqual(await outputWith([HUE, 0.7]));
  });

  test("of another strength is the LoRA at that scale", async () => {
    const { file } = await makeDelta({ lora: INK, strength: -0.5 });
    expect(basename(file)).toBe("emoji_ink_s-0.50.trt_lora");
    expect(relativeDifference(await outputWith([file, 1]), await outputWith([INK, -0.5]))).toBeLessThan(1e-6);
  });

  test("that is dense is the same change", async () => {
    const { file } = await makeDelta({ lora: INK, dense: true });
    const delta = await DeltaFile.open(file);
    expect([...delta.changes.values()].every(({ kind }) => kind === "dense")).toBe(true);
    await delta.close();
    expect(relativeDifference(await outputWith([file, 0.8]), await outputWith([INK, 0.8]))).toBeLessThan(1e-5);
  });
});

describe("made before", () => {
  test("it is kept; another strength, form or LoRA makes it again", async () => {
    const lora = join(folder, "changing.safetensors");
    copyFileSync(INK, lora);
    const first = await makeDelta({ lora });
    const written = statSync(first.file).mtimeMs;
    const second = await makeDelta({ lora });
    expect([first.cached, second.cached, statSync(second.file).mtimeMs]).toEqual([false, true, written]);
    expect(second.matched).toEqual(first.matched);

    copyFileSync(HUE, lora);
    const third = await makeDelta({ lora });
    expect([third.file, third.cached, third.matched.length]).toEqual([first.file, false, 270]);
  });

  test("a copy of the LoRA under another name is the same", async () => {
    const copy = join(folder, "copy.safetensors");
    copyFileSync(INK, copy);
    await makeDelta({ lora: INK, output });
    expect((await makeDelta({ lora: copy, output })).cached).toBe(true);
  });

  test("a name that a person gave is not overwritten by another delta", async () => {
    await makeDelta({ lora: INK, output });
    const error = await failure(makeDelta({ lora: HUE, output }));
    expect(error.code).toBe("file.exists");
    expect((await makeDelta({ lora: HUE, output, overwrite: true })).matched).toHaveLength(270);
  });

  test("the LoRA itself is never overwritten", async () => {
    const lora = join(folder, "self.safetensors");
    copyFileSync(INK, lora);
    const error = await failure(makeDelta({ lora, output: lora, overwrite: true }));
    expect(error.code).toBe("option.invalid");
    expect(statSync(lora).size).toBe(statSync(INK).size);
  });
});

describe("refused, with nothing written", () => {
  /** A LoRA with other names or values. */
  async function altered(name: string, change: Parameters<typeof rewriteSafetensors>[2]): Promise<string> {
    const path = join(folder, name);
    await rewriteSafetensors(INK, path, change);
    return path;
  }

  const cases: [string, () => string | Promise<string>, object, string, RegExp][] = [
    [
      "a LoRA of SD1.x",
      () => new URL("../fixtures/lora/sd1-plain-peft.safetensors", import.meta.url).pathname,
      {},
      "lora.wrongArchitecture",
      /is a LoRA for .*but "emoji" is SDXL/,
    ],
    [
      "a LoRA whose modules the engine does not have",
      () =>
        altered("stranger.safetensors", (tensor) => ({
          ...tensor,
          name: tensor.name.replace(/_(\d+)_1_/, "_9$1_1_").replace("middle_block_1", "middle_block_7"),
        })),
      {},
      "lora.noChange",
      /would change nothing/,
    ],
    ["a checkpoint", () => CHECKPOINT, {}, "lora.unsupported", /is not a LoRA/],
    ["a strength of 0", () => INK, { strength: 0 }, "lora.noChange", /strength 0/],
    ["a file that is not there", () => join(folder, "none.safetensors"), {}, "file.missing", /does not exist/],
    [
      "an empty file",
      () => {
        writeFileSync(join(folder, "zero.safetensors"), "");
        return join(folder, "zero.safetensors");
      },
      {},
      "file.empty",
      /is empty/,
    ],
    ["a strength that is no number", () => INK, { strength: "much" }, "option.invalid", /^--strength much: it must be a number\.$/],
  ];

  test.each(cases)("%s", async (_name, lora, options, code, message) => {
    const path = await lora();
    const before = filesUnder(folder);
    const error = await failure(makeDelta({ lora: path, output, ...options }));
    expect(error.message).toMatch(message);
    expect(error.code).toBe(code);
    expect(filesUnder(folder)).toEqual(before);
  });

  test("no engine", async () => {
    const error = await failure(
      makeDelta({ engine: folder, lora: INK, output }).then(() => run("delta", { engine: join(folder, "none"), lora: INK })),
    );
    expect(error.code).toBe("file.missing");
  });

  test("no folder for it", async () => {
    const error = await failure(makeDelta({ lora: INK, output: join(folder, "nowhere", "x.trt_lora") }));
    expect(error.code).toBe("file.unwritable");
  });

  test.each(["reading the LoRA", "writing the delta"])("cancelled while %s", async (stage) => {
    const controller = new AbortController();
    const context = recordingContext({
      signal: controller.signal,
      onProgress: (progress) => void (progress.stage === stage && controller.abort()),
    });
    const before = filesUnder(folder);
    const error = await failure(run("delta", { engine: bundle, lora: HUE, output }, engines, context));
    expect(error.code).toBe("cancelled");
    expect(context.stages.map((progress) => progress.stage)).toContain(stage);
    expect(filesUnder(folder)).toEqual(before);
  });
});

test("NaN in a LoRA: the module is left out, named in a warning, and the others applied", async () => {
  const lora = join(folder, "nan.safetensors");
  const bad = "lora_unet_input_blocks_4_1_proj_in.lora_up.weight";
  await rewriteSafetensors(INK, lora, (tensor) =>
    tensor.name === bad ? { ...tensor, chunks: () => [fromFloat32(new Float32Array(128 * 8).fill(NaN), "F16")] } : tensor,
  );
  const { matched, unmatched, warnings } = await makeDelta({ lora, output });
  expect(matched).toHaveLength(191);
  expect(unmatched).toEqual([
    { name: "lora_unet_input_blocks_4_1_proj_in", reason: `"${bad}" has NaN or infinite values, so it is left out` },
  ]);
  expect(warnings.join("\n")).toContain("lora_unet_input_blocks_4_1_proj_in");
  expect((await outputWith([output, 1])).every(Number.isFinite)).toBe(true);
});

describe("used in a stack", () => {
  test("a delta for another checkpoint is refused", async () => {
    const other = join(folder, "other.safetensors");
    await rewriteSafetensors(CHECKPOINT, other, (tensor) => tensor, { note: "the same weights, another file" });
    await run("export", { checkpoint: other, output: join(folder, "other") }, engines);
    const { file } = await run("delta", { engine: join(folder, "other"), lora: INK, output }, engines);
    const error = await failure(model.adapters.load(file, undefined));
    expect(error.code).toBe("delta.wrongBase");
    expect(error.message).toMatch(/was made for the checkpoint of "other" .*, not for that of "emoji"/);
  });

  test("a version 1 file holds whole weights: its change is taken from the base", async () => {
    const { file: dense } = await makeDelta({ lora: INK, dense: true });
    const base = await SafetensorsFile.open(CHECKPOINT);
    const delta = await DeltaFile.open(dense);
    const weights: { name: string; dtype: "F32"; shape: readonly number[]; chunks: () => Uint8Array[] }[] = [];
    for (const [name, change] of delta.changes) {
      if (change.kind !== "dense") throw new Error(`${name} is ${change.kind}`);
      const [values, before] = [await delta.read(change.values), await base.readFloat32(name)];
      const full = values.map((value, i) => value + before[i]!);
      weights.push({ name, dtype: "F32", shape: base.entry(name).shape, chunks: () => [fromFloat32(full, "F32")] });
    }
    await writeSafetensors(output, weights, {});
    await base.close();
    await delta.close();
    for (const scale of [1, 0.5]) {
      expect(relativeDifference(await outputWith([output, scale]), await outputWith([INK, scale]))).toBeLessThan(1e-5);
    }
  });

  test("one whose file has changed is read again", async () => {
    const lora = join(folder, "replaced.safetensors");
    copyFileSync(INK, lora);
    const before = await outputWith([lora, 1]);
    copyFileSync(HUE, lora);
    const after = await outputWith([lora, 1]);
    expect(before).toEqual(await outputWith([INK, 1]));
    expect(after).toEqual(await outputWith([HUE, 1]));
  });
});

describe("inspect", () => {
  test("of a LoRA gives every layer's rank, alpha and norm", async () => {
    const { kind, statistics, notes } = await run("inspect", { file: INK });
    expect(kind).toBe("lora");
    expect(statistics).toHaveLength(192);
    const lora = await SafetensorsFile.open(INK);
    for (const { name, rank, alpha, norm, nan, infinite } of statistics!.slice(0, 5)) {
      const up = await lora.readFloat32(`${name}.lora_up.weight`);
      const down = await lora.readFloat32(`${name}.lora_down.weight`);
      expect([rank, alpha, nan, infinite]).toEqual([8, 8, 0, 0]);
      expect(norm).toBeCloseTo(productNorm(up, down, 8), 4);
    }
    await lora.close();
    expect(notes).toContain("rank 8, 192 layers");
  });

  test("of a delta gives the same norms, by weight", async () => {
    await makeDelta({ lora: INK, strength: 2, output });
    const lora = await run("inspect", { file: INK });
    const delta = await run("inspect", { file: output });
    expect(delta.kind).toBe("delta");
    const norms = (statistics: typeof lora.statistics) => statistics!.map(({ norm }) => norm!).toSorted((a, b) => a - b);
    const expected = norms(lora.statistics);
    norms(delta.statistics).forEach((norm, i) => expect(norm).toBeCloseTo(2 * expected[i]!, 4));
    const { file: dense } = await makeDelta({ lora: INK, dense: true, strength: 2 });
    norms((await run("inspect", { file: dense })).statistics).forEach((norm, i) => expect(norm).toBeCloseTo(2 * expected[i]!, 4));
  });

  test("counts what is no finite number", async () => {
    const { notes, statistics } = await run("inspect", { file: join(folder, "nan.safetensors") });
    expect(notes.join("\n")).toContain("lora_unet_input_blocks_4_1_proj_in (1024 NaN, 0 infinite)");
    expect(statistics!.filter(({ nan }) => nan > 0)).toHaveLength(1);
  });

  test.each([
    ["checkpoint", CHECKPOINT],
    ["engine bundle", bundle],
  ])("of a %s reads the header alone", async (kind, file) => {
    const result = await run("inspect", { file });
    expect(result).toMatchObject({ kind, architecture: "sdxl", notes: [] });
    expect(result.statistics).toBeUndefined();
    expect(result.tensors).toHaveLength(1047);
    expect(result.parameters.byDtype["F16"]).toBeGreaterThan(16_000_000);
  });

  test("of what cannot be read says so", async () => {
    const empty = join(folder, "empty-folder");
    mkdirSync(empty);
    expect(existsSync(empty)).toBe(true);
    expect((await failure(run("inspect", { file: empty }))).code).toBe("checkpoint.unsupported");
    expect((await failure(run("inspect", { file: join(folder, "none") }))).code).toBe("file.missing");
    writeFileSync(join(folder, "bad.trt_lora"), "no");
    expect((await failure(run("inspect", { file: join(folder, "bad.trt_lora") }))).code).toBe("file.truncated");
  });
});

function productNorm(up: Float32Array, down: Float32Array, rank: number): number {
  const [rows, columns] = [up.length / rank, down.length / rank];
  let sum = 0;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      let value = 0;
      for (let r = 0; r < rank; r++) value += up[row * rank + r]! * down[r * columns + column]!;
      sum += value * value;
    }
  }
  return Math.sqrt(sum);
}
