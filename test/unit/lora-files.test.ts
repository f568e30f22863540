import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { fromFloat32 } from "../../src/formats/numbers.ts";
import { writeSafetensors } from "../../src/formats/safetensors-writer.ts";
import type { BaseDescription } from "../../src/lora/base.ts";
import { LoraFile } from "../../src/lora/lora-file.ts";
import { parseLoraKey } from "../../src/lora/lora-keys.ts";
import { loadPreparedDelta, prepareDelta, type DeltaReport } from "../../src/lora/make-delta.ts";
import { ModuleIndex } from "../../src/lora/module-index.ts";
import { PreparedLowRank } from "../../src/lora/prepared-weight.ts";
import { nearestName } from "../../src/lora/nearest-name.ts";
import { openCheckpoint } from "../../src/models/open-checkpoint.ts";
import { FOLDER, openTinyModel } from "../fixtures/lora/tiny-models.ts";

const EMOJI = join(import.meta.dirname, "../../demo/emoji-xl");

const LAST_LAYER = "lora_te1_text_model_encoder_layers_2";

type Tensors = Readonly<
  Record<string, { readonly shape: readonly number[]; readonly values?: readonly number[]; readonly dtype?: string }>
>;

let folder: string;
let sdxl: BaseDescription;
let sd1: BaseDescription;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lora-files-"));
  ({ base: sdxl } = await openTinyModel("sdxl"));
  ({ base: sd1 } = await openTinyModel("sd1"));
});

afterAll(() => rm(folder, { recursive: true }));

/** Writes a LoRA; values are ones where none are given. */
async function write(tensors: Tensors, metadata: Record<string, string> = {}): Promise<string> {
  const path = join(folder, `${Math.random().toString(36).slice(2)}.safetensors`);
  const sources = Object.entries(tensors).map(([name, { shape, values, dtype = "F32" }]) => {
    const count = shape.reduce((product, size) => product * size, 1);
    const numbers = Float32Array.from({ length: count }, (_, index) => values?.[index] ?? 1);
    const isWeight = dtype === "F32" || dtype === "F16" || dtype === "BF16";
    const bytes = isWeight ? fromFloat32(numbers, dtype) : new Uint8Array(count);
    return { name, shape, dtype, chunks: () => [bytes] };
  });
  await writeSafetensors(path, sources, metadata);
  return path;
}

async function report(tensors: Tensors, base = sdxl, metadata: Record<string, string> = {}): Promise<DeltaReport> {
  const lora = await LoraFile.open(await write(tensors, metadata));
  try {
    return (await prepareDelta(lora, base)).report;
  } finally {
    await lora.close();
  }
}

/** A module that the tiny SDXL has, and its factors. */
const KNOWN = "lora_unet_input_blocks_3_1_proj_in";

function factors(module: string, out = 16, width = 16, rank = 2): Tensors {
  return { [`${module}.lora_up.weight`]: { shape: [out, rank] }, [`${module}.lora_down.weight`]: { shape: [rank, width] } };
}

function withAlpha(module: string, alpha: number, tensors = factors(module)): Tensors {
  return { ...tensors, [`${module}.alpha`]: { shape: [], values: [alpha] } };
}

describe("key names", () => {
  it.each([
    ["lora_unet_x.lora_up.weight", { role: "factor", factor: "lora_up", module: "lora_unet_x", format: "kohya" }],
    ["a.b.lora_A.weight", { role: "factor", factor: "lora_down", module: "a.b", format: "peft" }],
    ["a.b.lora_B.default.weight", { role: "factor", factor: "lora_up", module: "a.b", format: "peft", adapter: "default" }],
    ["unet.a.conv1.lora.up.weight", { role: "factor", factor: "lora_up", module: "unet.a.conv1", format: "diffusers" }],
    [
      "text_encoder.a.q_proj.lora_linear_layer.down.weight",
      { role: "factor", factor: "lora_down", module: "text_encoder.a.q_proj", format: "diffusers" },
    ],
    [
      "unet.a.attn1.processor.to_out_lora.up.weight",
      { role: "factor", factor: "lora_up", module: "unet.a.attn1.to_out.0", format: "diffusers" },
    ],
    [
      "text_encoder.a.self_attn.to_out_lora.up.weight",
      { role: "factor", factor: "lora_up", module: "text_encoder.a.self_attn.out_proj", format: "diffusers" },
    ],
    ["a.alpha", { role: "factor", factor: "alpha", module: "a", format: "kohya" }],
    ["a.hada_w1_a", { role: "factor", factor: "hada_w1_a", module: "a", format: "kohya" }],
    ["a.lokr_w2", { role: "factor", factor: "lokr_w2", module: "a", format: "kohya" }],
    ["a.lora_magnitude_vector", { role: "factor", factor: "lora_magnitude_vector", module: "a", format: "peft" }],
    [
      "a.lora_magnitude_vector.default.weight",
      { role: "factor", factor: "lora_magnitude_vector", module: "a", format: "peft", adapter: "default" },
    ],
    ["a.weight", undefined],
    [".lora_up.weight", undefined],
    ["", undefined],
  ])("%s", (name, expected) => {
    expect(parseLoraKey(name)).toEqual(expected);
  });

  it.each([
    ["lora_te_text_model_encoder_layers_1_self_attn_k_proj", "cond_stage_model.model.transformer.resblocks.1.attn.in_proj_weight", 8],
    ["lora_te_text_model_encoder_layers_0_mlp_fc2", "cond_stage_model.model.transformer.resblocks.0.mlp.c_proj.weight", 0],
    ["text_encoder.encoder.layers.1.self_attn.v_proj", "cond_stage_model.model.transformer.resblocks.1.attn.in_proj_weight", 16],
  ])("OpenCLIP of Stable Diffusion 2.x: %s", (module, weight, row) => {
    const encoder = {
      ...sdxl.configuration.textEncoders[1]!,
      component: "text_encoder",
      prefix: "cond_stage_model.model.",
      width: 8,
    } as const;
    const target = new ModuleIndex({ ...sdxl.configuration, textEncoders: [encoder] }).find(module);
    expect(target).toMatchObject({ component: "text_encoder", weight });
    expect(target?.rows?.start ?? 0).toBe(row);
  });

  it.each([
    ["lora_unet.down_blocks.1.attentions.0.proj_out", "lora_unet_down_blocks_1_attentions_0_proj_out"],
    ["lora_te1.text_model.encoder.layers.1.mlp.fc2", "lora_te1_text_model_encoder_layers_1_mlp_fc2"],
    ["lora_te2.text_model.encoder.layers.0.self_attn.k_proj", "lora_te2_text_model_encoder_layers_0_self_attn_k_proj"],
  ])("OneTrainer's %s is kohya's %s", (dotted, underscored) => {
    const index = new ModuleIndex(sdxl.configuration);
    expect(index.find(dotted)).toBeDefined();
    expect(index.find(dotted)).toEqual(index.find(underscored));
  });

  it.each([
    ["lora_unet_input_blocks_4_1_proj_im", "lora_unet_input_blocks_4_1_proj_in"],
    ["lora_unet_down_blocks_9_attentions_0_proj_out", "lora_unet_down_blocks_1_attentions_0_proj_out"],
    ["something_else", undefined],
    ["a".repeat(10_000), undefined],
    ["_".repeat(100_000), undefined],
  ])("nearest name", (name, nearest) => {
    const known = ["lora_unet_input_blocks_4_1_proj_in", "lora_unet_down_blocks_1_attentions_0_proj_out"];
    expect(nearestName(name, known)).toBe(nearest);
  });
});

describe("emoji-xl", () => {
  it.each([
    ["ink.safetensors", 192, 192, []],
    // Its q, k and v of ten layers share one weight each; the last layer of the first text encoder was not trained.
    [
      "opposite-hue.safetensors",
      270,
      270 - 20 - 6,
      [{ name: `${LAST_LAYER}_mlp_fc1`, reason: expect.stringMatching(/as in 5 other modules/) as string }],
    ],
  ])("%s: every one of %i modules is matched", async (name, modules, changed, suspicious) => {
    const checkpoint = await openCheckpoint(join(EMOJI, "emoji-xl.safetensors"));
    const weights = Array.from(checkpoint.components, ([component, table]) =>
      Array.from(table.values(), ({ name: weight, shape }) => ({ name: weight, shape, component })),
    ).flat();
    const { architecture, configuration } = checkpoint;
    const lora = await LoraFile.open(join(EMOJI, name));
    const prepared = await prepareDelta(lora, { name: "emoji-xl", architecture, fingerprint: "", configuration, weights });
    await lora.close();
    expect(prepared.report.matched).toHaveLength(modules);
    expect(prepared.report.unmatched).toEqual([]);
    expect(prepared.report.suspicious).toEqual(suspicious);
    expect(prepared.weights).toHaveLength(changed);
    expect(prepared.weights.filter((weight) => weight instanceof PreparedLowRank && weight.downDtype === "F16")).toHaveLength(changed);
  });
});

describe("reports", () => {
  it("names an unknown module, the reason and the nearest name", async () => {
    const { matched, unmatched } = await report({ ...factors(KNOWN), ...factors("lora_unet_input_blocks_3_1_proj_on") });
    expect(matched).toEqual([KNOWN]);
    expect(unmatched).toEqual([
      { name: "lora_unet_input_blocks_3_1_proj_on", reason: "no module of this SDXL model has that name", nearest: KNOWN },
    ]);
  });

  const other = "lora_unet_output_blocks_0_1_proj_in";
  it.each<readonly [string, Tensors, { unmatched?: RegExp; suspicious?: RegExp }]>([
    ["another shape", factors(other, 16, 8), { unmatched: /changes a weight of shape \[16, 8\], here it is \[16, 16\]/ }],
    [
      "a 3×3 kernel for a linear layer",
      { [`${other}.lora_up.weight`]: { shape: [16, 2, 1, 1] }, [`${other}.lora_down.weight`]: { shape: [2, 16, 3, 3] } },
      { unmatched: /\[16, 16, 3, 3\]/ },
    ],
    [
      "ranks that differ",
      { [`${other}.lora_up.weight`]: { shape: [16, 2] }, [`${other}.lora_down.weight`]: { shape: [3, 16] } },
      { unmatched: /up factor has rank 2, its down factor rank 3/ },
    ],
    ["no up factor", { [`${other}.lora_down.weight`]: { shape: [3, 16] } }, { unmatched: /no up factor/ }],
    ["no down factor", { [`${other}.lora_up.weight`]: { shape: [16, 3] } }, { unmatched: /no down factor/ }],
    ["an alpha alone", { [`${other}.alpha`]: { shape: [] } }, { unmatched: /an alpha but no factors/ }],
    ["rank 0", factors(other, 16, 16, 0), { unmatched: /empty/ }],
    [
      "integers",
      { [`${other}.lora_up.weight`]: { shape: [16, 2], dtype: "I8" }, [`${other}.lora_down.weight`]: { shape: [2, 16] } },
      { unmatched: /dtype I8/ },
    ],
    ["alpha 0", withAlpha(other, 0), { suspicious: /alpha is 0/ }],
    ["alpha NaN", withAlpha(other, NaN), { unmatched: /alpha is NaN/ }],
    ["alpha of two numbers", { ...factors(other), [`${other}.alpha`]: { shape: [2] } }, { unmatched: /alpha is NaN/ }],
    [
      "a scale beyond fp32",
      withAlpha(other, 3e38, { ...factors(other, 16, 16, 1), [`${other}.lora_up.weight`]: { shape: [16, 1], values: [1e10] } }),
      { unmatched: /scale of .* is too large/, suspicious: /too large/ },
    ],
    [
      "NaN",
      { ...factors(other), [`${other}.lora_up.weight`]: { shape: [16, 2], values: [1, NaN] } },
      { unmatched: /lora_up.weight" has NaN or infinite/, suspicious: /NaN or infinite/ },
    ],
    [
      "-Infinity in fp16",
      { ...factors(other), [`${other}.lora_down.weight`]: { shape: [2, 16], values: [-Infinity], dtype: "F16" } },
      { unmatched: /lora_down.weight" has NaN or infinite/, suspicious: /NaN/ },
    ],
    [
      "NaN in bf16",
      { ...factors(other), [`${other}.lora_down.weight`]: { shape: [2, 16], values: [0, NaN], dtype: "BF16" } },
      { unmatched: /NaN or infinite/, suspicious: /NaN/ },
    ],
    [
      "zeros",
      { ...factors(other), [`${other}.lora_up.weight`]: { shape: [16, 2], values: Array<number>(32).fill(0) } },
      { suspicious: /all zero/ },
    ],
    [
      "the same module under both names",
      { ...factors("lora_unet_up_blocks_0_attentions_0_proj_in"), ...factors(other) },
      { unmatched: /already as "lora_unet_/, suspicious: /already as/ },
    ],
    [
      "two adapters",
      {
        "unet.up_blocks.0.attentions.0.proj_in.lora_A.a.weight": { shape: [2, 16] },
        "unet.up_blocks.0.attentions.0.proj_in.lora_B.a.weight": { shape: [16, 2] },
        "unet.up_blocks.0.attentions.0.proj_in.lora_A.b.weight": { shape: [2, 16] },
      },
      { suspicious: /several adapters; of this module only "a"/ },
    ],
    [
      "DoRA's scale of another size",
      { ...factors(other), [`${other}.dora_scale`]: { shape: [15, 1] } },
      { unmatched: /dora_scale has shape \[15, 1\] for a weight of 16 outputs/ },
    ],
    [
      "a Tucker core",
      { ...factors(other), [`${other}.lora_mid.weight`]: { shape: [2, 2, 3, 3] } },
      { unmatched: /16 × 144, here it is one of 16 × 16/ },
    ],
    ["a key of no format", { v_pred: { shape: [] } }, { unmatched: /not a key of any LoRA format/ }],
    [
      "a norm",
      factors("lora_unet_input_blocks_3_1_norm", 16, 16),
      { unmatched: /engine cannot change model.diffusion_model.input_blocks.3.1.norm.weight/ },
    ],
    [
      "OpenCLIP's transposed projection",
      factors("lora_te2_text_projection", 12, 12),
      { unmatched: /engine cannot change conditioner.embedders.1.model.text_projection/ },
    ],
  ])("%s", async (_, tensors, { unmatched, suspicious }) => {
    const found = await report({ ...withAlpha(KNOWN, 2), ...tensors });
    expect(found.matched).toContain(KNOWN);
    const texts = (findings: readonly { reason: string }[]) => findings.map(({ reason }) => reason).join("\n");
    if (unmatched) expect(texts(found.unmatched)).toMatch(unmatched);
    else expect(found.unmatched).toEqual([]);
    const notes = found.suspicious.filter(({ name }) => name !== "alpha");
    if (suspicious) expect(texts(notes)).toMatch(suspicious);
    else expect(notes).toEqual([]);
  });

  it("says when kohya's alphas are missing", async () => {
    const { suspicious } = await report(factors(KNOWN));
    expect(suspicious).toEqual([{ name: "alpha", reason: "1 modules have no alpha; alpha = rank is taken, as other programs do" }]);
  });

  it("says that an engine has no text encoder", async () => {
    const base = { ...sdxl, weights: sdxl.weights.filter(({ component }) => component === "unet") };
    const { unmatched } = await report({ ...factors(KNOWN), ...factors("lora_te1_text_model_encoder_layers_0_mlp_fc1", 24, 12) }, base);
    expect(unmatched).toEqual([{ name: "lora_te1_text_model_encoder_layers_0_mlp_fc1", reason: "the engine has no text_encoder" }]);
  });

  it.each([
    ["not JSON", /configures no component/],
    ["[]", /configures no component/],
    [`{"unet.lora_alpha":"x"}`, /not a LoRA configuration/],
    [`{"unet.alpha_pattern":{"^conv.*":2}}`, /alpha_pattern "\^conv\.\*" is a regular expression/],
  ])("odd adapter metadata: %s", async (text, reason) => {
    const { matched, suspicious } = await report(factors(KNOWN), sdxl, { lora_adapter_metadata: text });
    expect(matched).toEqual([KNOWN]);
    expect(suspicious[0]!.reason).toMatch(reason);
  });

  it("scales a rank-stabilized LoRA by the root of its rank", async () => {
    const path = await write(
      { "unet.conv_in.lora_A.weight": { shape: [4, 4, 3, 3] }, "unet.conv_in.lora_B.weight": { shape: [8, 4, 1, 1] } },
      { lora_adapter_metadata: JSON.stringify({ "unet.lora_alpha": 3, "unet.r": 4, "unet.use_rslora": true }) },
    );
    const lora = await LoraFile.open(path);
    expect(lora.updates.map((update) => update.kind === "lowRank" && update.scale)).toEqual([1.5]);
    await lora.close();
  });
});

/** UNet factors whose cross-attention reads a text of this width. */
function unetOf(width: number): Tensors {
  return factors("lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k", 640, width);
}

describe("LoRAs of other models are refused, both named", () => {
  it.each<readonly [string, Tensors, RegExp]>([
    [
      "SD1",
      unetOf(768),
      /is a LoRA for Stable Diffusion 1\.x \(text context of width 768\), but "tiny-sdxl" is SDXL \(text context of width 24\)/,
    ],
    ["SD2", unetOf(1024), /Stable Diffusion 2\.x .*SDXL/],
    ["SDXL", unetOf(2048), /is a LoRA for SDXL \(text context of width 2048\).* is SDXL \(text context of width 24\)/],
    ["refiner", unetOf(1280), /SDXL refiner.*SDXL/],
    ["an unknown UNet", unetOf(99), /a UNet of another size \(text context of width 99\).*SDXL/],
    ["SD3, diffusers", factors("transformer.transformer_blocks.0.attn.to_q"), /Stable Diffusion 3, but .* SDXL/],
    ["SD3, its own", factors("lora_unet_joint_blocks_3_x_block_attn_qkv"), /Stable Diffusion 3.*SDXL/],
    ["Flux, kohya", factors("lora_unet_double_blocks_0_img_attn_qkv"), /Flux.*SDXL/],
    [
      "Flux, diffusers",
      { ...factors("transformer.single_transformer_blocks.0.attn.to_q"), ...factors("transformer.transformer_blocks.0.attn.to_q") },
      /Flux.*SDXL/,
    ],
    ["Wan", factors("diffusion_model.blocks.0.cross_attn.k"), /Wan 2\.2.*SDXL/],
    ["PixArt", factors("base_model.model.transformer_blocks.0.attn2.to_k"), /PixArt.*SDXL/],
    ["a language model", factors("base_model.model.model.layers.0.self_attn.q_proj"), /a language model.*SDXL/],
  ])("%s", async (_, tensors, message) => {
    await expect(report(tensors)).rejects.toMatchObject({ code: "lora.wrongArchitecture", message: expect.stringMatching(message) });
  });

  it("SDXL's text encoders alone, on Stable Diffusion 1.x", async () => {
    const tensors = factors("lora_te2_text_model_encoder_layers_0_mlp_fc1", 24, 12);
    await expect(report(tensors, sd1)).rejects.toMatchObject({
      code: "lora.wrongArchitecture",
      message: expect.stringMatching(/is a LoRA for SDXL, but "tiny-sd1" is Stable Diffusion 1\.x\./),
    });
  });
});

describe("files that would change nothing", () => {
  it.each<readonly [string, Tensors, RegExp]>([
    ["no known module", factors("lora_unet_a_b_c"), /none of its 1 modules can be applied \(of "lora_unet_a_b_c": no module/],
    ["only zeros", { ...withAlpha(KNOWN, 0) }, /all its changes are zero/],
    ["only NaN", { ...factors(KNOWN), [`${KNOWN}.lora_up.weight`]: { shape: [16, 2], values: [NaN] } }, /NaN/],
  ])("%s", async (_, tensors, message) => {
    await expect(report(tensors)).rejects.toMatchObject({ code: "lora.noChange", message: expect.stringMatching(message) });
  });

  it.each([
    [0, "lora.noChange"],
    [NaN, "option.invalid"],
    [Infinity, "option.invalid"],
  ])("strength %d", async (strength, code) => {
    const lora = await LoraFile.open(await write(factors(KNOWN)));
    await expect(prepareDelta(lora, sdxl, strength)).rejects.toMatchObject({ code });
    await lora.close();
  });
});

describe("files that are no LoRA", () => {
  it.each<readonly [string, Tensors, Record<string, string>, RegExp]>([
    [
      "a checkpoint",
      { "model.diffusion_model.out.2.weight": { shape: [1] } },
      {},
      /is not a LoRA: its 1 tensors have names like "model\.diffusion_model/,
    ],
    ["nothing in it", {}, {}, /is not a LoRA: it has no tensors/],
    ["half a LoHa", { "lora_unet_a.hada_w1_a": { shape: [1] } }, {}, /no usable LoRA: of "lora_unet_a", its factors are not all there/],
    ["AdaLoRA", { "a.lora_E": { shape: [1, 1] } }, {}, /holds AdaLoRA, which cannot be applied/],
    ["a delta", { "w.lora_up": { shape: [1, 1] } }, { format: "trt_lora/2" }, /is a delta already/],
    ["halves only", { "a.lora_up.weight": { shape: [1, 1] } }, {}, /no usable LoRA: of "a", it has an up factor but no down factor/],
  ])("%s", async (_, tensors, metadata, message) => {
    await expect(LoraFile.open(await write(tensors, metadata))).rejects.toMatchObject({
      code: "lora.unsupported",
      message: expect.stringMatching(message),
    });
  });

  it("a cut-off file", async () => {
    const whole = await readFile(join(FOLDER, "sd1-plain-peft.safetensors"));
    const path = join(folder, "cut.safetensors");
    await writeFile(path, whole.subarray(0, whole.length / 2));
    await expect(LoraFile.open(path)).rejects.toMatchObject({ name: "UserError" });
  });

  it("survives 2,000 files with changed header bytes", async () => {
    const whole = await readFile(join(FOLDER, "sd1-plain-peft.safetensors"));
    const headerLength = Number(whole.readBigUInt64LE(0));
    const path = join(folder, "fuzz.safetensors");
    let state = 1;
    const random = (below: number) => (state = Math.imul(state, 48_271) & 0x7fffffff) % below;
    let opened = 0;
    for (let run = 0; run < 2000; run++) {
      const bytes = Buffer.from(whole);
      for (let change = 0; change <= random(4); change++) bytes[8 + random(headerLength)] = random(128);
      await writeFile(path, bytes);
      try {
        const lora = await LoraFile.open(path);
        opened++;
        try {
          await loadPreparedDelta(await prepareDelta(lora, sd1));
        } finally {
          await lora.close();
        }
      } catch (error) {
        expect((error as Error).name).toBe("UserError");
      }
    }
    expect(opened).toBeGreaterThan(0);
  }, 120_000);
});
