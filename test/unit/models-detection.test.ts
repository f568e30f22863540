import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import folders from "../fixtures/models/folders.json" with { type: "json" };
import { writeSparseFile, type Shapes } from "../fixtures/models/sparse-file.ts";
import type { UNetStructure } from "../../src/models/configuration.ts";
import { describeCheckpoint, type DescribedArchitecture } from "../../src/models/full-size.ts";
import { openCheckpoint, type OpenOptions } from "../../src/models/open-checkpoint.ts";
import { SD2_PREDICTION_WEIGHT } from "../../src/models/prediction.ts";
import { textEncoderShapes } from "../../src/models/text-encoder-structure.ts";
import { unetShapes } from "../../src/models/unet-shapes.ts";

let temporary: string;
let count = 0;
beforeAll(async () => {
  temporary = await mkdtemp(join(tmpdir(), "models-detection-"));
});
afterAll(() => rm(temporary, { recursive: true, force: true }));

interface FileOptions {
  readonly metadata?: Readonly<Record<string, string>>;
  readonly values?: Readonly<Record<string, Uint8Array>>;
  readonly name?: string;
}

async function open(shapes: Shapes, { name = "model.safetensors", ...file }: FileOptions = {}, options?: OpenOptions) {
  const path = join(temporary, `${count++}-${name}`);
  await writeSparseFile(path, shapes, file);
  return { path, opened: openCheckpoint(path, options) };
}

/** A UNet of an architecture's block structure, at a tenth of its width or less. */
function narrowUNet(architecture: DescribedArchitecture, change: Partial<UNetStructure> = {}): Shapes {
  const unet = describeCheckpoint(architecture, { components: [] }).configuration.unet!;
  const levels = unet.levels.map((level) => ({ ...level, width: 64 }));
  return Object.fromEntries(unetShapes({ ...unet, modelChannels: 64, contextWidth: 64, levels, ...change }));
}

function clip(prefix: string, layout: "transformers" | "openclip"): Shapes {
  const size = { width: 64, layers: 2, tokens: 77, vocabulary: 10, innerWidth: 64, projectionWidth: layout === "openclip" ? 64 : 0 };
  return Object.fromEntries(textEncoderShapes({ layout, prefix, ...size }));
}

describe("architectures", () => {
  const sd1Encoder = clip("cond_stage_model.transformer.text_model.", "transformers");
  const sd2Encoder = clip("cond_stage_model.model.", "openclip");
  const firstEncoder = clip("conditioner.embedders.0.transformer.text_model.", "transformers");
  const secondEncoder = clip("conditioner.embedders.1.model.", "openclip");
  const refinerEncoder = clip("conditioner.embedders.0.model.", "openclip");

  test.each<[string, Shapes, object]>([
    ["SD1.x's UNet", narrowUNet("sd1"), { architecture: "sd1", configuration: { unet: { heads: { count: 8 }, inChannels: 4 } } }],
    ["SD1.x", { ...narrowUNet("sd1"), ...sd1Encoder }, { architecture: "sd1", configuration: { textEncoders: [{ hiddenState: "last" }] } }],
    ["SD1.x inpainting", narrowUNet("sd1", { inChannels: 9 }), { architecture: "sd1", configuration: { unet: { inChannels: 9 } } }],
    ["SD2.x's UNet", narrowUNet("sd2"), { architecture: "sd2", configuration: { unet: { heads: { width: 64 } }, prediction: "epsilon" } }],
    [
      "SD2.x",
      { ...narrowUNet("sd2"), ...sd2Encoder },
      {
        architecture: "sd2",
        configuration: {
          textEncoders: [
            {
              component: "text_encoder",
              layout: "openclip",
              activation: "gelu",
              hiddenState: "penultimate_normalized",
              projectionWidth: 0,
            },
          ],
        },
        unused: [{ name: "cond_stage_model.model.text_projection" }],
      },
    ],
    ["SD2.x in SDXL's layout", { ...narrowUNet("sd2"), ...refinerEncoder }, { architecture: "sd2" }],
    ["SD2.x inpainting", narrowUNet("sd2", { inChannels: 9 }), { architecture: "sd2", configuration: { unet: { inChannels: 9 } } }],
    ["SDXL's UNet", narrowUNet("sdxl"), { architecture: "sdxl" }],
    ["SDXL inpainting", narrowUNet("sdxl", { inChannels: 9 }), { architecture: "sdxl", configuration: { unet: { inChannels: 9 } } }],
    [
      "SDXL",
      { ...narrowUNet("sdxl", { contextWidth: 128 }), ...firstEncoder, ...secondEncoder },
      {
        architecture: "sdxl",
        configuration: {
          textEncoders: [
            { component: "text_encoder", hiddenState: "penultimate", activation: "quick_gelu" },
            { component: "text_encoder_2", hiddenState: "penultimate", activation: "gelu", projectionWidth: 64 },
          ],
        },
      },
    ],
    ["SDXL refiner's UNet", narrowUNet("sdxl-refiner"), { architecture: "sdxl-refiner" }],
    [
      "SDXL refiner",
      { ...narrowUNet("sdxl-refiner"), ...refinerEncoder },
      { architecture: "sdxl-refiner", configuration: { textEncoders: [{ component: "text_encoder_2", hiddenState: "penultimate" }] } },
    ],
  ])("%s", async (_name, shapes, expected) => {
    await expect((await open(shapes)).opened).resolves.toMatchObject(expected);
  });

  test.each<[string, Shapes, string]>([
    [
      "5 channels",
      narrowUNet("sd2", { inChannels: 5 }),
      "its UNet takes 5 input channels, as a depth-to-image model does; supported are 4, and 9 for inpainting.",
    ],
    [
      "8 channels",
      narrowUNet("sd1", { inChannels: 8 }),
      "its UNet takes 8 input channels, as an image-conditioned model (InstructPix2Pix, Zero123, …) does; supported are 4, and 9 for inpainting.",
    ],
    ["unCLIP", narrowUNet("sd2", { admWidth: 1536 }), "its UNet has the structure of unCLIP (image variations), which is not supported."],
    [
      "no text",
      narrowUNet("sd1", { levels: [{ width: 64, down: [0], up: [0, 0] }], middle: { residualBlocks: 2, depth: 0 } }),
      "its UNet takes no text (it has no cross-attention).",
    ],
    [
      "heads that do not fit",
      narrowUNet("sd2", { levels: [{ width: 96, down: [1], up: [1, 1] }] }),
      "attention over 96 channels cannot be split into heads by 64.",
    ],
  ])("refused: %s", async (_name, shapes, message) => {
    const { path, opened } = await open(shapes);
    await expect(opened).rejects.toMatchObject({ code: "checkpoint.unsupported", message: `${path}: ${message}` });
  });
});

describe("what is predicted", () => {
  const sd1 = narrowUNet("sd1");
  const sd2 = narrowUNet("sd2");
  const sdxl = narrowUNet("sdxl");
  const size = sd2[SD2_PREDICTION_WEIGHT]![0]!;
  /** A bias with the given standard deviation, around a mean that must not matter. */
  const spread = (deviation: number) => ({
    [SD2_PREDICTION_WEIGHT]: new Uint8Array(
      Float32Array.from({ length: size }, (_, index) => 5 + (index % 2 ? deviation : -deviation)).buffer,
    ),
  });

  test.each<[string, Shapes, FileOptions, OpenOptions, string, boolean]>([
    ["nothing said", sdxl, {}, {}, "epsilon", false],
    ["the v_pred mark", { ...sdxl, v_pred: [0] }, {}, {}, "v_prediction", false],
    ["the v_pred and ztsnr marks", { ...sdxl, v_pred: [0], ztsnr: [0] }, {}, {}, "v_prediction", true],
    ["the model specification's entry", sdxl, { metadata: { "modelspec.prediction_type": "v" } }, {}, "v_prediction", false],
    ["ComfyUI's entry", sd1, { metadata: { "modelspec.predict_key": "v" } }, {}, "v_prediction", false],
    ["kohya's entries", sd1, { metadata: { ss_v_parameterization: "True", ss_zero_terminal_snr: "True" } }, {}, "v_prediction", true],
    ["an entry of another value", sd1, { metadata: { "modelspec.prediction_type": "sample" } }, {}, "epsilon", false],
    [
      "the specification's architecture",
      sd2,
      { metadata: { "modelspec.architecture": "stable-diffusion-v2-768-v" } },
      {},
      "v_prediction",
      false,
    ],
    ["SD2.x, wide bias", sd2, { values: spread(0.1) }, {}, "v_prediction", false],
    ["SD2.x, narrow bias", sd2, { values: spread(0.08) }, {}, "epsilon", false],
    [
      "SD2.x, wide bias, but epsilon said",
      sd2,
      { values: spread(0.1), metadata: { "modelspec.predict_key": "epsilon" } },
      {},
      "epsilon",
      false,
    ],
    ["SD2.x inpainting, wide bias", narrowUNet("sd2", { inChannels: 9 }), { values: spread(0.1) }, {}, "epsilon", false],
    ["SD1.x, wide bias", sd1, { values: spread(0.1) }, {}, "epsilon", false],
    ["asked for otherwise", { ...sdxl, v_pred: [0] }, {}, { prediction: "epsilon" }, "epsilon", false],
  ])("%s", async (_name, shapes, file, options, prediction, zeroTerminalSnr) => {
    const { opened } = await open(shapes, file, options);
    expect((await opened).configuration).toMatchObject({ prediction, zeroTerminalSnr });
  });
});

describe("files that are no checkpoint", () => {
  const supported = "supported are Stable Diffusion 1.x and 2.x, SDXL and the SDXL refiner";
  const lora = "this is a LoRA, not a checkpoint. Give the checkpoint it belongs to here, and this file to --lora or to `delta`.";
  const delta = "this is a delta (.trt_lora), not a checkpoint. Give the checkpoint it belongs to here, and this file to --lora.";
  const later = (label: string) => `${label} is recognised but not supported yet: exporting it comes later; ${supported} for now.`;
  const other = (label: string) => `its keys are those of ${label}, which is not supported; ${supported}.`;
  const control = (label: string) => `this is ${label}, not a checkpoint; ${supported}.`;
  const part = (label: string) => `this is ${label}, not a whole checkpoint. Give a file or folder that holds the UNet too.`;
  const unet = "model.diffusion_model.";
  const block = `${unet}input_blocks.4.1.transformer_blocks.0.attn1.to_q`;

  test.each<[string, readonly string[], string, FileOptions?]>([
    ["kohya LoRA", ["lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight"], lora],
    ["kohya LoRA of a text encoder", ["lora_te1_text_model_encoder_layers_0_mlp_fc1.alpha"], lora],
    ["PEFT LoRA", ["unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight"], lora],
    ["PEFT LoRA with an adapter's name", ["base_model.model.unet.mid_block.attentions.0.proj_in.lora_A.default.weight"], lora],
    ["diffusers LoRA", ["unet.mid_block.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.down.weight"], lora],
    ["diffusers LoRA of a text encoder", ["text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer.up.weight"], lora],
    ["LoHa", ["lycoris_unet_mid_block_attentions_0_proj_in.hada_w1_a"], lora],
    ["LoKr", ["diffusion_model.input_blocks.4.1.proj_in.lokr_w1"], lora],
    ["Flux LoRA", ["transformer.single_transformer_blocks.0.proj_mlp.lora_B.weight"], lora],
    ["delta", [`${block}.weight.lora_up`, `${block}.weight.lora_down`], delta],
    ["dense delta", [`${block}.weight`], delta, { metadata: { format: "trt_lora/2" } }],
    ["delta without a format", [`${block}.weight`], delta, { name: "ink_LORA_s1.00.trt_lora" }],
    ["textual inversion", ["emb_params"], control("a textual-inversion embedding")],
    ["textual inversion for SDXL", ["clip_g", "clip_l"], control("a textual-inversion embedding")],
    ["textual inversion of diffusers", ["<cat-toy>"], control("a textual-inversion embedding")],
    ["ControlNet", ["control_model.input_hint_block.0.weight", "control_model.time_embed.0.weight"], control("a ControlNet")],
    [
      "ControlNet of diffusers",
      ["conv_in.weight", "time_embedding.linear_1.weight", "controlnet_cond_embedding.conv_in.weight"],
      control("a ControlNet"),
    ],
    ["IP-Adapter", ["image_proj.proj.weight", "ip_adapter.1.to_k_ip.weight"], control("an IP-Adapter")],
    ["motion module", ["down_blocks.0.motion_modules.0.temporal_transformer.norm.weight"], control("an AnimateDiff motion module")],
    ["VAE", ["encoder.conv_in.weight", "decoder.conv_in.weight"], part("a VAE without a UNet")],
    ["VAE in a checkpoint's layout", ["first_stage_model.decoder.conv_in.weight"], part("a VAE without a UNet")],
    ["CLIP", ["text_model.encoder.layers.0.self_attn.q_proj.weight"], part("a CLIP text encoder without a UNet")],
    ["OpenCLIP", ["transformer.resblocks.0.mlp.c_fc.weight"], part("a CLIP text encoder without a UNet")],
    ["CLIP vision", ["vision_model.encoder.layers.0.self_attn.q_proj.weight"], part("a CLIP vision encoder")],
    ["T5", ["encoder.block.0.layer.0.SelfAttention.q.weight"], part("a T5 text encoder")],
    ["SD3", [`${unet}joint_blocks.0.context_block.attn.qkv.weight`], later("Stable Diffusion 3")],
    ["SD3 of diffusers", ["transformer_blocks.0.attn.add_q_proj.weight"], later("Stable Diffusion 3")],
    ["Flux", ["double_blocks.0.img_attn.norm.key_norm.scale"], later("Flux")],
    ["Flux of diffusers", ["single_transformer_blocks.0.proj_mlp.weight", "transformer_blocks.0.attn.add_q_proj.weight"], later("Flux")],
    ["Wan", [`${unet}head.modulation`], later("Wan")],
    ["Wan of diffusers", ["condition_embedder.time_embedder.linear_1.weight"], later("Wan")],
    ["Chroma", ["distilled_guidance_layer.in_proj.bias", "double_blocks.0.img_attn.norm.key_norm.scale"], other("Chroma")],
    ["PixArt", ["adaln_single.emb.timestep_embedder.linear_1.weight", "caption_projection.linear_1.weight"], other("PixArt")],
    ["PixArt's own layout", ["y_embedder.y_proj.fc1.weight", "t_block.1.weight"], other("PixArt")],
    ["LTX-Video", ["adaln_single.emb.timestep_embedder.linear_1.weight", "patchify_proj.weight"], other("LTX-Video")],
    ["Stable Cascade", ["clip_txt_mapper.weight", "down_blocks.0.0.channelwise.0.weight"], other("Stable Cascade")],
    ["Hunyuan-DiT", ["mlp_t5.0.weight"], other("Hunyuan-DiT")],
    [
      "HunyuanVideo",
      ["double_blocks.0.img_attn.qkv.weight", "txt_in.individual_token_refiner.blocks.0.adaLN_modulation.1.bias"],
      other("HunyuanVideo"),
    ],
    ["AuraFlow", [`${unet}double_layers.0.attn.w1q.weight`], other("AuraFlow")],
    ["Kandinsky", ["conv_in.weight", "time_embedding.linear_1.weight", "add_embedding.image_norm.weight"], other("Kandinsky")],
    [
      "Stable Video Diffusion",
      [`${unet}input_blocks.0.0.weight`, `${unet}input_blocks.1.0.time_stack.in_layers.0.weight`],
      other("Stable Video Diffusion"),
    ],
    ["Playground v2.5", [`${unet}input_blocks.0.0.weight`, "edm_mean", "edm_std"], other("Playground v2.5")],
    ["CosXL", [`${unet}input_blocks.0.0.weight`, "edm_vpred.sigma_max"], other("an EDM-sampled v-prediction model (CosXL)")],
    ["scaled FP8", [`${unet}input_blocks.0.0.weight`, `${unet}scaled_fp8`], other("a checkpoint quantised to FP8 with scales")],
    ["ESRGAN", ["conv_first.weight", "body.0.rdb1.conv1.weight"], other("an image upscaler")],
    ["unknown", ["alpha", "beta", "gamma", "delta"], `its keys ("alpha", "beta", "gamma", …) belong to no model known here; ${supported}.`],
    ["no tensors", [], `it holds no tensors; ${supported}.`],
  ])("%s", async (_name, keys, message, options) => {
    const { path, opened } = await open(Object.fromEntries(keys.map((key) => [key, [4, 4]])), options);
    await expect(opened).rejects.toMatchObject({ name: "UserError", code: "checkpoint.unsupported", message: `${path}: ${message}` });
  });

  const whole = folders.sdxl["unet/diffusion_pytorch_model.safetensors"];
  test.each<[string, RegExp, RegExp]>([
    [
      "the last block",
      /^up_blocks\.1\./,
      /at resolution 1 of 2, 1 residual blocks on the way down and 0 on the way up \(there should be one more\)/,
    ],
    [
      "an inner residual block",
      /^up_blocks\.0\.resnets\.1\./,
      /at resolution 2 of 2, 1 residual blocks on the way down and 1 on the way up/,
    ],
    ["all blocks", /^(down|up)_blocks\./, /its UNet has no blocks: the file is incomplete\.$/],
    [
      "a first norm",
      /^down_blocks\.1\.attentions\.0\.transformer_blocks\.1\.norm1\.weight$/,
      /transformer_blocks\.1\..*" has no place in SDXL: weights next to it are missing/,
    ],
    [
      "a transformer",
      /^up_blocks\.0\.attentions\.1\.transformer_blocks\.0\.norm1\.weight$/,
      /^.*up_blocks\.0\.attentions\.1\..*" has no place/,
    ],
    [
      "the middle's first norm",
      /^mid_block\.resnets\.0\.norm1\.weight$/,
      /"model\.diffusion_model\.middle_block\.1\.norm\.bias" has no place in SDXL/,
    ],
  ])("a UNet that lacks %s", async (_name, missing, message) => {
    const cut = Object.fromEntries(Object.entries(whole).filter(([name]) => !missing.test(name)));
    await expect((await open(cut)).opened).rejects.toMatchObject({
      code: "checkpoint.incomplete",
      message: expect.stringMatching(message),
    });
  });

  test("one tensor lost, renamed or reshaped is always noticed", async () => {
    const names = Object.keys(whole) as (keyof typeof whole)[];
    for (let index = 0; index < names.length; index++) {
      const name = names[index]!;
      const { [name]: shape, ...rest } = whole;
      const changed: Shapes = [rest, { ...rest, [`${name}_`]: shape }, { ...rest, [name]: [...shape, 2] }, { ...rest, [name]: [] }][
        index % 4
      ]!;
      const { opened } = await open(changed);
      await expect(opened, name).rejects.toMatchObject({ name: "UserError" });
    }
  });
});
