import { copyFileSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { fromFloat32, toFloat32, type NumericDtype, type WeightDtype } from "../../src/formats/numbers.ts";
import type { TensorSource } from "../../src/formats/safetensors-writer.ts";
import { describeCheckpoint } from "../../src/models/full-size.ts";
import { writeSparseFile } from "../fixtures/models/sparse-file.ts";
import { LoraFile } from "../../src/lora/lora-file.ts";
import { CHECKPOINT, failure, filesUnder, HUE, INK, recordingContext, rewriteSafetensors, run } from "./jobs-support.ts";
import { hashTensors, hasPython, python, readMetadata, readTensors, toolTests } from "./tools-support.ts";

const { folder, engines, fresh } = toolTests();
const wide = join(folder, "wide.safetensors");
const baked = join(folder, "baked.safetensors");
let output: string;

/** The same tensor with other numbers. */
async function changed(tensor: TensorSource, change: (values: Float32Array) => void, dtype = tensor.dtype): Promise<TensorSource> {
  const pieces: Uint8Array[] = [];
  for await (const piece of tensor.chunks()) pieces.push(piece);
  const values = toFloat32(Buffer.concat(pieces), tensor.dtype as NumericDtype);
  change(values);
  return { ...tensor, dtype, chunks: () => [fromFloat32(values, dtype as WeightDtype)] };
}

/** The UNet of the published checkpoint of an architecture, all zeros. */
async function fullSize(architecture: "sd1" | "sdxl"): Promise<string> {
  const path = join(folder, `${architecture}.safetensors`);
  const unet = describeCheckpoint(architecture).components.get("unet")!;
  await writeSparseFile(path, Object.fromEntries(Array.from(unet.values(), ({ name, shape }) => [name, shape])));
  return path;
}

beforeAll(async () => {
  await rewriteSafetensors(CHECKPOINT, wide, (tensor) => (tensor.dtype === "F16" ? changed(tensor, () => {}, "F32") : tensor));
  const lora = [{ file: INK, scale: 0.8 }];
  await run("bake", { checkpoint: wide, lora, output: baked }, engines);
});

beforeEach(() => {
  output = fresh("extracted");
});

const extract = (options: object) => run("extract", { original: wide, tuned: baked, output, ...options }, engines);

/** up·down · scale of every layer. */
async function products(path: string): Promise<Map<string, Float64Array>> {
  const lora = await LoraFile.open(path);
  const found = new Map<string, Float64Array>();
  for (const update of lora.updates) {
    if (update.kind !== "lowRank") continue;
    const [up, down] = [await lora.readFloat32(update.up), await lora.readFloat32(update.down)];
    const columns = down.length / update.rank;
    const product = new Float64Array((up.length / update.rank) * columns);
    for (let i = 0; i < product.length; i++) {
      const [row, column] = [Math.floor(i / columns), i % columns];
      for (let r = 0; r < update.rank; r++) product[i]! += update.scale * up[row * update.rank + r]! * down[r * columns + column]!;
    }
    found.set(update.module, product);
  }
  await lora.close();
  return found;
}

function norm(values: Float64Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0));
}

describe("an extracted LoRA", () => {
  test.each([
    ["fp16", 2e-3],
    ["bf16", 2e-2],
    ["fp32", 2e-5],
  ] as const)("of a baked one in %s is its product again", async (dtype, tolerance) => {
    const { layers, error, differences } = await extract({ rank: 8, dtype });
    expect([layers.length, differences]).toEqual([192, []]);
    expect(error).toBeLessThan(tolerance);
    const [before, after] = [await products(INK), await products(output)];
    expect([...after.keys()].toSorted()).toEqual([...before.keys()].toSorted());
    for (const [module, product] of after) {
      const expected = before.get(module)!.map((value) => 0.8 * value);
      expect(norm(product.map((value, i) => value - expected[i]!)) / norm(expected), module).toBeLessThan(3 * tolerance);
    }
    expect(await readMetadata(output)).toMatchObject({
      ss_network_module: "networks.lora",
      ss_network_dim: "8",
      ss_network_alpha: "8",
      ss_base_model_version: "sdxl_base_v1-0",
      extracted_from: '{"original":"wide.safetensors","tuned":"baked.safetensors"}',
    });
  });

  test("reaches text encoders, OpenCLIP's fused projections too, and components can be chosen", async () => {
    const tuned = join(folder, "hue.safetensors");
    await run("bake", { checkpoint: wide, lora: [{ file: HUE }], output: tuned }, engines);
    const all = await extract({ tuned, rank: 4, dtype: "fp32" });
    const names = all.layers.map(({ name }) => name);
    for (const start of ["lora_unet_", "lora_te1_", "lora_te2_"]) expect(names.some((name) => name.startsWith(start))).toBe(true);
    const [before, after] = [await products(HUE), await products(output)];
    for (const [module, product] of after) {
      const expected = before.get(module)!;
      expect(norm(product.map((value, i) => value - expected[i]!)) / norm(expected), module).toBeLessThan(1e-3);
    }
    output = fresh("extracted");
    const { layers } = await extract({ tuned, rank: 4, components: ["text_encoder_2"] });
    expect(layers.map(({ name }) => name)).toEqual(names.filter((name) => name.startsWith("lora_te2_")));
  });

  test("has convolutions in their shape, biases and normalizations as differences, and nothing that did not change", async () => {
    const tuned = join(folder, "tuned.safetensors");
    const unet = "model.diffusion_model.";
    const moved = new Map([
      [`${unet}input_blocks.1.0.in_layers.2.weight`, 0.5],
      [`${unet}input_blocks.1.0.in_layers.2.bias`, 0.25],
      [`${unet}input_blocks.1.0.in_layers.0.weight`, 0.125],
      [`${unet}input_blocks.1.0.in_layers.0.bias`, -0.5],
    ]);
    await rewriteSafetensors(wide, tuned, (tensor) => {
      const step = moved.get(tensor.name);
      if (step === undefined) return tensor;
      return changed(tensor, (values) => values.forEach((value, i) => (values[i] = value + step * Math.sin(i * 12.9898))));
    });
    const { layers, differences } = await extract({ tuned, energy: 1, dtype: "fp32" });
    const conv = "lora_unet_input_blocks_1_0_in_layers_2";
    const group = "lora_unet_input_blocks_1_0_in_layers_0";
    expect(layers.map(({ name }) => name)).toEqual([conv]);
    expect(layers[0]!.error).toBeLessThan(1e-5);
    expect([...differences].toSorted()).toEqual([`${group}.b_norm`, `${group}.w_norm`, `${conv}.diff_b`]);
    const [base, lora] = [await readTensors(wide), await readTensors(output)];
    const { shape } = base.get(`${unet}input_blocks.1.0.in_layers.2.weight`)!;
    const { rank } = layers[0]!;
    expect(lora.get(`${conv}.lora_down.weight`)!.shape).toEqual([rank, ...shape.slice(1)]);
    expect(lora.get(`${conv}.lora_up.weight`)!.shape).toEqual([shape[0], rank, 1, 1]);
    // Baked into the base it gives the tuned checkpoint.
    const again = join(folder, "again.safetensors");
    await run("bake", { checkpoint: wide, lora: [{ file: output }], output: again }, engines);
    const [expected, found] = [await readTensors(tuned), await readTensors(again)];
    for (const name of moved.keys()) {
      const [wanted, values] = [toFloat32(expected.get(name)!.bytes, "F32"), toFloat32(found.get(name)!.bytes, "F32")];
      expect(Math.max(...values.map((value, i) => Math.abs(value - wanted[i]!))), name).toBeLessThan(1e-5);
    }
    const rest = (hashes: Record<string, string>) => Object.entries(hashes).filter(([name]) => !moved.has(name));
    expect(rest(await hashTensors(again))).toEqual(rest(await hashTensors(tuned)));
  });

  test("to an energy has the smallest ranks that keep it", async () => {
    const { layers } = await extract({ energy: 0.9, dtype: "fp32" });
    for (const { rank, error } of layers) {
      expect(error ** 2).toBeLessThanOrEqual(0.1 + 1e-6);
      expect(rank).toBeLessThanOrEqual(8);
    }
    expect(layers.some(({ rank }) => rank < 8)).toBe(true);
    output = fresh("extracted");
    const capped = await extract({ energy: 0.9, rank: 2, dtype: "fp32" });
    expect(Math.max(...capped.layers.map(({ rank }) => rank))).toBe(2);
  });

  test.skipIf(!hasPython)("drops what numpy's decomposition drops, to a percent; Python reads it", async () => {
    const { layers } = await extract({ rank: 3, dtype: "fp32" });
    const script = `
import json, sys, numpy as np
from safetensors.numpy import load_file
base, tuned, lora = (load_file(path) for path in sys.argv[1:4])
names = {n[len("model.diffusion_model."):-7].replace(".", "_"): n for n in base if n.startswith("model.diffusion_model.") and n.endswith(".weight")}
found = {}
for key in lora:
    if not key.startswith("lora_unet_") or not key.endswith(".alpha"): continue
    module = key[:-len(".alpha")]
    name = names[module[len("lora_unet_"):]]
    change = (tuned[name].astype(np.float64) - base[name]).reshape(base[name].shape[0], -1)
    values = np.linalg.svd(change, compute_uv=False)
    up, down = lora[module + ".lora_up.weight"].astype(np.float64), lora[module + ".lora_down.weight"].astype(np.float64)
    rest = change - up.reshape(up.shape[0], -1) @ down.reshape(down.shape[0], -1)
    found[module] = [float(np.sqrt((values[3:] ** 2).sum() / (values ** 2).sum())), float(np.linalg.norm(rest) / np.linalg.norm(change))]
print(json.dumps(found))`;
    const found = python(script, wide, baked, output) as Record<string, [number, number]>;
    expect(Object.keys(found).length).toBe(layers.length);
    for (const { name, error } of layers) {
      const [best, actual] = found[name]!;
      expect(Math.abs(error - actual), name).toBeLessThan(1e-5);
      expect(actual, name).toBeLessThan(best * 1.01 + 1e-6);
    }
  });
});

describe("is refused, and nothing is left behind:", () => {
  const cases: readonly (readonly [string, () => object | Promise<object>, string, RegExp])[] = [
    ["two times the same checkpoint", () => ({ tuned: wide }), "lora.noChange", /hold the same weights/],
    ["a component that did not change", () => ({ components: ["text_encoder"] }), "lora.noChange", /same weights in text_encoder/],
    ["a component that is not there", () => ({ components: ["transformer"] }), "checkpoint.incomplete", /transformer/],
    [
      "another architecture",
      async () => ({ tuned: await fullSize("sd1") }),
      "lora.wrongArchitecture",
      /is SDXL, but .* is Stable Diffusion 1/,
    ],
    ["other shapes", async () => ({ tuned: await fullSize("sdxl") }), "lora.wrongArchitecture", /has shape \[.*\] in .*, but \[/],
    ["a LoRA", () => ({ tuned: INK }), "checkpoint.unsupported", /a LoRA/],
    [
      "a checkpoint that is cut off",
      () => {
        const path = join(folder, "cut.safetensors");
        copyFileSync(baked, path);
        truncateSync(path, 2_000_000);
        return { tuned: path };
      },
      "file.truncated",
      /cut off/,
    ],
    [
      "NaN in a weight",
      async () => {
        const path = join(folder, "nan.safetensors");
        await rewriteSafetensors(baked, path, (tensor) =>
          tensor.name.endsWith("input_blocks.4.1.proj_in.weight") ? changed(tensor, (values) => values.fill(NaN, 0, 3)) : tensor,
        );
        return { tuned: path };
      },
      "file.invalid",
      /input_blocks\.4\.1\.proj_in\.weight" has NaN/,
    ],
    ["a rank of 0", () => ({ rank: 0 }), "option.invalid", /--rank 0/],
    ["an energy above 1", () => ({ energy: 1.5 }), "option.invalid", /--energy 1\.5/],
    ["a checkpoint's own name", () => ({ output: baked, overwrite: true }), "option.invalid", /one of the files/],
  ];

  test.each(cases)("%s", async (_name, options, code, message) => {
    const given = await options();
    const before = filesUnder(folder);
    const error = await failure(extract(given));
    expect(error.message).toMatch(message);
    expect(error.code).toBe(code);
    expect(filesUnder(folder)).toEqual(before);
  });

  test.each(["decomposing", "writing the LoRA"])("cancelled while %s", async (stage) => {
    const controller = new AbortController();
    const context = recordingContext({
      signal: controller.signal,
      onProgress: (progress) => void (progress.stage === stage && controller.abort()),
    });
    const before = filesUnder(folder);
    const error = await failure(run("extract", { original: wide, tuned: baked, rank: 1, output }, engines, context));
    expect(error.code).toBe("cancelled");
    expect(filesUnder(folder)).toEqual(before);
  });
});
