import { truncateSync, copyFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { fromFloat32, toFloat32, type WeightDtype } from "../../src/formats/numbers.ts";
import { writeSafetensors, type TensorSource } from "../../src/formats/safetensors-writer.ts";
import { LoraFile } from "../../src/lora/lora-file.ts";
import { CHECKPOINT, cli, failure, filesUnder, HUE, INK, recordingContext, rewriteSafetensors, run } from "./jobs-support.ts";
import { hashTensors, hasPython, python, readMetadata, readTensors, toolTests } from "./tools-support.ts";

const { folder, engines, fresh, latents } = toolTests();
let output: string;

beforeEach(() => {
  output = fresh("lora");
});

/** Numbers that repeat from run to run, the later ones smaller. */
function numbers(size: number, seed: number): Float32Array {
  return new Float32Array(size).map((_, i) => Math.sin((i + 1) * 12.9898 + seed * 78.233) / (1 + (i % 7)));
}

let seed = 0;
function tensor(name: string, shape: readonly number[], dtype: WeightDtype = "F32", values?: Float32Array): TensorSource {
  const own =
    values ??
    numbers(
      shape.reduce((product, side) => product * side, 1),
      seed++,
    );
  return { name, dtype, shape, chunks: () => [fromFloat32(own, dtype)] };
}

/** A LoRA of a linear layer, a 3×3 convolution, a bias and a norm. */
async function writeLora(
  path: string,
  { rank = 6, dtype = "F32", metadata = {} }: { rank?: number; dtype?: WeightDtype; metadata?: Record<string, string> } = {},
): Promise<string> {
  const tensors = [
    tensor("lora_unet_mid_block_resnets_0_conv1.alpha", [], "F32", Float32Array.of(rank / 3)),
    tensor("lora_unet_mid_block_resnets_0_conv1.lora_down.weight", [rank, 5, 3, 3], dtype),
    tensor("lora_unet_mid_block_resnets_0_conv1.lora_up.weight", [8, rank, 1, 1], dtype),
    tensor("lora_unet_mid_block_resnets_0_conv1.diff_b", [8], dtype),
    tensor("lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight", [rank, 12], dtype),
    tensor("lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight", [20, rank], dtype),
    tensor("lora_unet_mid_block_resnets_0_norm1.w_norm", [8], dtype),
  ];
  await writeSafetensors(path, tensors, metadata);
  return path;
}

/** The change of each low-rank module at scale 1, in double precision. */
async function changes(path: string): Promise<Map<string, Float64Array>> {
  const lora = await LoraFile.open(path);
  try {
    const found = new Map<string, Float64Array>();
    for (const update of lora.updates) {
      if (update.kind !== "lowRank") continue;
      const [up, down] = [await lora.readFloat32(update.up), await lora.readFloat32(update.down)];
      const [rows, columns] = [up.length / update.rank, down.length / update.rank];
      const change = new Float64Array(rows * columns);
      for (let row = 0; row < rows; row++)
        for (let r = 0; r < update.rank; r++)
          for (let column = 0; column < columns; column++)
            change[row * columns + column]! += update.scale * up[row * update.rank + r]! * down[r * columns + column]!;
      found.set(update.module, change);
    }
    return found;
  } finally {
    await lora.close();
  }
}

function norm(values: Float64Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0));
}

function relativeDifference(actual: Float64Array, expected: Float64Array): number {
  expect(actual.length).toBe(expected.length);
  return norm(actual.map((value, i) => value - expected[i]!)) / norm(expected);
}

async function expectSum(path: string, parts: readonly (readonly [string, number])[], tolerance: number): Promise<void> {
  const sums = new Map<string, Float64Array>();
  for (const [file, scale] of parts) {
    for (const [module, change] of await changes(file)) {
      const sum = sums.get(module) ?? new Float64Array(change.length);
      sums.set(
        module,
        sum.map((value, i) => value + scale * change[i]!),
      );
    }
  }
  const found = await changes(path);
  expect([...found.keys()].toSorted()).toEqual([...sums.keys()].toSorted());
  for (const [module, expected] of sums) expect(relativeDifference(found.get(module)!, expected), module).toBeLessThanOrEqual(tolerance);
}

describe("resize", () => {
  const resize = (options: object) => run("resize", { output, ...options }, engines);

  test("to the rank that a LoRA has keeps its factors", async () => {
    const lora = await writeLora(fresh("lora"), { dtype: "F16" });
    const { layers, error } = await resize({ lora, rank: 6 });
    expect(error).toBe(0);
    expect(layers.map(({ from, to }) => [from, to])).toEqual([
      [6, 6],
      [6, 6],
    ]);
    const [before, after] = [await hashTensors(lora), await hashTensors(output)];
    for (const [name, hash] of Object.entries(before)) if (!name.endsWith("alpha")) expect(after[name], name).toBe(hash);
    await expectSum(output, [[lora, 1]], 0);
  });

  test("keeps each layer's scale, the shapes of convolutions, biases, norms and dtypes", async () => {
    const lora = await writeLora(fresh("lora"), {
      dtype: "BF16",
      metadata: { ss_network_dim: "6", ss_training_comment: "mine", sshs_model_hash: "0" },
    });
    await resize({ lora, rank: 2 });
    const tensors = await readTensors(output);
    const conv = "lora_unet_mid_block_resnets_0_conv1";
    expect(tensors.get(`${conv}.lora_down.weight`)).toMatchObject({ dtype: "BF16", shape: [2, 5, 3, 3] });
    expect(tensors.get(`${conv}.lora_up.weight`)).toMatchObject({ dtype: "BF16", shape: [8, 2, 1, 1] });
    // alpha / rank was 2 / 6
    expect(toFloat32(tensors.get(`${conv}.alpha`)!.bytes, "F32")[0]).toBeCloseTo(2 / 3, 6);
    const [before, after] = [await hashTensors(lora), await hashTensors(output)];
    for (const name of [`${conv}.diff_b`, "lora_unet_mid_block_resnets_0_norm1.w_norm"]) expect(after[name]).toBe(before[name]);
    const metadata = await readMetadata(output);
    expect(metadata).toMatchObject({ ss_network_dim: "2", ss_training_comment: "dimension is resized from 6 to 2; mine" });
    expect(metadata).not.toHaveProperty("sshs_model_hash");
  });

  test.each([
    ["a rank", { rank: 3 }],
    ["an energy", { energy: 0.9 }],
    ["both", { rank: 2, energy: 0.99 }],
  ])("by %s drops as much as it says", async (_name, options) => {
    const lora = await writeLora(fresh("lora"));
    const { layers, error } = await resize({ lora, ...options });
    const [before, after] = [await changes(lora), await changes(output)];
    let [dropped, total] = [0, 0];
    for (const { name, to, error: own } of layers) {
      const difference = after.get(name)!.map((value, i) => value - before.get(name)![i]!);
      expect(norm(difference) / norm(before.get(name)!)).toBeCloseTo(own, 5);
      expect(to).toBeLessThanOrEqual("rank" in options ? options.rank : 6);
      if ("energy" in options && !("rank" in options)) expect(own ** 2).toBeLessThanOrEqual(0.1);
      dropped += norm(difference) ** 2;
      total += norm(before.get(name)!) ** 2;
    }
    expect(Math.sqrt(dropped / total)).toBeCloseTo(error, 5);
  });

  test.skipIf(!hasPython)("is the best approximation there is, as numpy has it; Python reads it", async () => {
    const { layers } = await resize({ lora: INK, rank: 3 });
    const script = `
import json, sys, numpy as np
from safetensors.numpy import load_file
old, new = load_file(sys.argv[1]), load_file(sys.argv[2])
def change(tensors, module):
    up, down = tensors[module + ".lora_up.weight"].astype(np.float64), tensors[module + ".lora_down.weight"].astype(np.float64)
    return float(tensors[module + ".alpha"]) / down.shape[0] * up.reshape(up.shape[0], -1) @ down.reshape(down.shape[0], -1)
found = {}
for key in new:
    if not key.endswith(".alpha"): continue
    module = key[:-len(".alpha")]
    before, after = change(old, module), change(new, module)
    values = np.linalg.svd(before, compute_uv=False)
    best = np.sqrt((values[3:] ** 2).sum() / (values ** 2).sum())
    found[module] = [best, float(np.linalg.norm(after - before) / np.linalg.norm(before))]
print(json.dumps(found))`;
    const found = python(script, INK, output) as Record<string, [number, number]>;
    expect(Object.keys(found)).toHaveLength(layers.length);
    for (const { name, error } of layers) {
      const [best, actual] = found[name]!;
      expect(error).toBeCloseTo(best, 6);
      // The factors are rounded to fp16.
      expect(actual).toBeLessThan(best + 1e-3);
    }
  });

  test("of other kinds leaves them alone, with a warning; of nothing but them is refused", async () => {
    const lora = fresh("lora");
    const loha = ["hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"].map((name, i) =>
      tensor(`lora_unet_conv_in.${name}`, i % 2 === 0 ? [8, 2] : [2, 12]),
    );
    const plain = [tensor("lora_unet_conv_out.lora_down.weight", [4, 8]), tensor("lora_unet_conv_out.lora_up.weight", [8, 4])];
    await writeSafetensors(lora, [...loha, ...plain], {});
    const { warnings } = await resize({ lora, rank: 1 });
    expect(warnings.join()).toMatch(/1 modules are of other kinds \(LoHa\)/);
    const [before, after] = [await hashTensors(lora), await hashTensors(output)];
    for (const { name } of loha) expect(after[name]).toBe(before[name]);
    await writeSafetensors(lora, loha, {});
    const error = await failure(resize({ lora, rank: 1, overwrite: true }));
    expect([error.code, error.message]).toEqual(["lora.unsupported", expect.stringContaining("holds LoHa")]);
  });

  test("of PEFT's format with a configuration becomes kohya's, with the same change", async () => {
    const lora = fresh("lora");
    const module = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k";
    const configuration = JSON.stringify({ "unet.r": 4, "unet.lora_alpha": 8, "unet.use_rslora": true });
    const tensors = [tensor(`${module}.lora_A.weight`, [4, 2048]), tensor(`${module}.lora_B.weight`, [6, 4])];
    await writeSafetensors(lora, tensors, { lora_adapter_metadata: configuration });
    await resize({ lora, rank: 4 });
    const kohya = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k";
    expect([...(await readTensors(output)).keys()].toSorted()).toEqual(
      ["alpha", "lora_down.weight", "lora_up.weight"].map((name) => `${kohya}.${name}`),
    );
    expect(await readMetadata(output)).not.toHaveProperty("lora_adapter_metadata");
    const [before, after] = [await changes(lora), await changes(output)];
    expect(relativeDifference(after.get(kohya)!, before.get(module)!)).toBeLessThan(1e-6);
  });
});

describe("merge-loras", () => {
  const merge = (options: object) => run("mergeLoras", { output, ...options }, engines);

  test("is the sum, with the sum of the ranks", async () => {
    const [first, second] = [await writeLora(fresh("lora"), { rank: 3 }), await writeLora(fresh("lora"), { rank: 5, dtype: "F16" })];
    const lora = [
      { file: first, scale: 0.7 },
      { file: second, scale: -1.5 },
    ];
    const { layers, error } = await merge({ lora });
    expect(layers.map(({ from, to }) => [from, to])).toEqual([
      [8, 8],
      [8, 8],
    ]);
    expect(error).toBe(0);
    await expectSum(
      output,
      [
        [first, 0.7],
        [second, -1.5],
      ],
      1e-6,
    );
    const bias = "lora_unet_mid_block_resnets_0_conv1.diff_b";
    const [a, b, sum] = await Promise.all(
      [first, second, output].map(async (path) => {
        const { dtype, bytes } = (await readTensors(path)).get(bias)!;
        return toFloat32(bytes, dtype as WeightDtype);
      }),
    );
    sum!.forEach((value, i) => expect(value).toBeCloseTo(0.7 * a![i]! - 1.5 * b![i]!, 6));
    expect(JSON.parse((await readMetadata(output))["merged_loras"]!)).toHaveLength(2);
  });

  test("draws what the stack draws", async () => {
    const engine = join(folder, "emoji");
    await run("export", { checkpoint: CHECKPOINT, output: engine }, engines);
    const stack = [
      { file: INK, scale: 0.7 },
      { file: HUE, scale: 0.5, textEncoderScale: 0.5 },
    ];
    await merge({ lora: stack.map(({ file, scale }) => ({ file, scale })) });
    const [expected, found] = [await latents(engine, stack), await latents(engine, [{ file: output }])];
    const largest = Math.max(...expected.map(Math.abs));
    expect(Math.max(...found.map((value, i) => Math.abs(value - expected[i]!))) / largest).toBeLessThan(1e-5);
  });

  test("to a rank drops as much as it says", async () => {
    const [first, second] = [await writeLora(fresh("lora")), await writeLora(fresh("lora"))];
    const { layers } = await merge({ lora: [{ file: first }, { file: second, scale: 0.5 }], rank: 4 });
    const exact = fresh("lora");
    await run("mergeLoras", { lora: [{ file: first }, { file: second, scale: 0.5 }], output: exact }, engines);
    const [whole, found] = [await changes(exact), await changes(output)];
    for (const { name, from, to, error } of layers) {
      expect([from, to]).toEqual([12, 4]);
      expect(relativeDifference(found.get(name)!, whole.get(name)!)).toBeCloseTo(error, 5);
    }
  });

  test("of names of several trainers is one layer; scales of blocks and text encoders act", async () => {
    const [kohya, peft] = [fresh("lora"), fresh("lora")];
    const layer = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k";
    await writeSafetensors(kohya, [tensor(`${layer}.lora_down.weight`, [2, 2048]), tensor(`${layer}.lora_up.weight`, [6, 2])], {});
    const module = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k";
    await writeSafetensors(peft, [tensor(`${module}.lora_A.weight`, [3, 2048]), tensor(`${module}.lora_B.weight`, [6, 3])], {});
    const blockWeights = `0,0.25,${Array(10).fill(1).join()}`;
    const { layers } = await merge({
      lora: [
        { file: kohya, blockWeights },
        { file: peft, scale: 2 },
      ],
    });
    expect(layers.map(({ name, to }) => [name, to])).toEqual([[layer, 5]]);
    const [first, second] = [(await changes(kohya)).get(layer)!, (await changes(peft)).get(module)!];
    const sum = first.map((value, i) => 0.25 * value + 2 * second[i]!);
    expect(relativeDifference((await changes(output)).get(layer)!, sum)).toBeLessThan(1e-6);
  });

  test.each([
    [
      "another model's LoRA",
      async () => {
        const other = fresh("lora");
        const module = "lora_te_text_model_encoder_layers_0_mlp_fc1";
        await writeSafetensors(other, [tensor(`${module}.lora_down.weight`, [2, 13]), tensor(`${module}.lora_up.weight`, [20, 2])], {});
        return other;
      },
      "lora.wrongArchitecture",
      /different models/,
    ],
    [
      "a LoHa",
      async () => {
        const other = fresh("lora");
        const names = ["hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"];
        await writeSafetensors(
          other,
          names.map((name, i) => tensor(`lora_unet_conv_in.${name}`, i % 2 === 0 ? [8, 2] : [2, 12])),
          {},
        );
        return other;
      },
      "lora.unsupported",
      /LoHa, which is no product of two factors/,
    ],
    [
      "one with NaN",
      async () => {
        const other = fresh("lora");
        await rewriteSafetensors(await writeLora(fresh("lora")), other, (each) =>
          each.name.endsWith("lora_up.weight")
            ? tensor(each.name, each.shape, "F32", new Float32Array(8 * 6 * 20).fill(NaN).slice(0, each.shape[0]! * 6))
            : each,
        );
        return other;
      },
      "lora.unsupported",
      /NaN/,
    ],
    [
      "one that is cut off",
      async () => {
        const other = fresh("lora");
        copyFileSync(INK, other);
        truncateSync(other, 100_000);
        return other;
      },
      "file.truncated",
      /cut off/,
    ],
    ["a checkpoint", () => Promise.resolve(CHECKPOINT), "lora.unsupported", /not a LoRA/],
  ] as const)("%s is refused, and nothing is left behind", async (_name, make, code, message) => {
    const [first, other] = [await writeLora(fresh("lora")), await make()];
    const before = filesUnder(folder);
    const error = await failure(merge({ lora: [{ file: first }, { file: other }] }));
    expect(error.message).toMatch(message);
    expect(error.code).toBe(code);
    expect(filesUnder(folder)).toEqual(before);
  });

  test("scales of 0 alone, no LoRA, and an output that is there are refused", async () => {
    const lora = await writeLora(fresh("lora"));
    expect((await failure(merge({ lora: [{ file: lora, scale: 0 }] }))).code).toBe("lora.noChange");
    expect((await failure(merge({ lora: [] }))).code).toBe("option.invalid");
    writeFileSync(output, "mine");
    expect((await failure(merge({ lora: [{ file: lora }] }))).code).toBe("file.exists");
    expect((await failure(merge({ lora: [{ file: lora }], output: lora, overwrite: true }))).code).toBe("option.invalid");
  });

  test.each(["merging", "writing the LoRA"])("cancelled while %s leaves nothing", async (stage) => {
    const controller = new AbortController();
    const context = recordingContext({
      signal: controller.signal,
      onProgress: (progress) => void (progress.stage === stage && controller.abort()),
    });
    const before = filesUnder(folder);
    const error = await failure(run("mergeLoras", { lora: [{ file: INK }, { file: HUE }], output }, engines, context));
    expect(error.code).toBe("cancelled");
    expect(filesUnder(folder)).toEqual(before);
  });
});

test("resize without a rank or an energy says what is missing", async () => {
  const error = await failure(run("resize", { lora: INK, output }, engines));
  expect(error.message).toMatch(/--rank is missing/);
});

test("the command line says what was made, and 2 for wrong usage", async () => {
  const resized = await cli(["resize", INK, "--rank", "2", "-o", output]);
  expect([resized.code, resized.stdout]).toEqual([
    0,
    expect.stringMatching(/192 layers, relative error in all \d\.\d\de-1\n.*rank 8 → 2, error/),
  ]);
  const merged = await cli(["merge-loras", `${INK}:0.5`, `${HUE}:-1`, "-o", output, "--overwrite", "--json"]);
  expect([merged.code, merged.lines.at(-1)]).toEqual([0, expect.objectContaining({ type: "result", file: output, error: 0 })]);
  expect((await cli(["resize", INK, "--rank", "-2", "-o", output])).code).toBe(2);
});
