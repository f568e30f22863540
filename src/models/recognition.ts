/**
 * What a safetensors file holds besides the checkpoints that can be exported, told by its keys alone, so that a refusal can
 * say what the file is. Key names are those that the published files have, and what diffusers (`loaders/single_file_utils.py`)
 * and ComfyUI (`comfy/model_detection.py`) look for.
 */
export interface Recognition {
  readonly kind: "lora" | "delta" | "embedding" | "control" | "part" | "later" | "other";
  /** The field's name for it: "a LoRA", "a VAE", "Flux". */
  readonly label: string;
}

interface Rule extends Recognition {
  /** Keys of which one must be there, under any of PREFIXES. */
  readonly keys?: readonly string[];
  /** A pattern that one key must match. */
  readonly pattern?: RegExp;
}

const PREFIXES: readonly string[] = ["", "model.diffusion_model.", "diffusion_model.", "transformer.", "model."];

/** In this order: the first that fits is the answer. */
const RULES: readonly Rule[] = [
  { kind: "delta", label: "a delta (.trt_lora)", pattern: /^(model\.diffusion_model|cond_stage_model|conditioner)\..+\.lora_(up|down)$/ },
  {
    kind: "lora",
    label: "a LoRA",
    pattern:
      /^lora_(unet|te\d?|transformer|prior)_|[._]lora[._](up|down|[AB]|linear_layer)\b|\.lora_(embedding_)?[AB]\b|\.(hada_w1_a|lokr_w[12](_a)?|dora_scale|oft_(blocks|diag|R)|diff_b|boft_.+|ia3_(l|weight))(\.weight)?$|_lora\.(up|down)\./,
  },
  { kind: "embedding", label: "a textual-inversion embedding", pattern: /^(emb_params|string_to_(param|token)|<.+>)/ },
  {
    kind: "control",
    label: "a ControlNet",
    keys: [
      "control_model.time_embed.0.weight",
      "control_model.input_hint_block.0.weight",
      "input_hint_block.0.weight",
      "controlnet_cond_embedding.conv_in.weight",
      "controlnet_mid_block.weight",
      "controlnet_blocks.0.weight",
      "zero_convs.0.0.weight",
    ],
  },
  { kind: "control", label: "an IP-Adapter", pattern: /^(ip_adapter|image_proj)\./ },
  { kind: "control", label: "a T2I-Adapter", pattern: /^(adapter\.)?body\.\d+\.(resnets\.\d+\.)?block[12]\.weight$/ },
  { kind: "control", label: "an AnimateDiff motion module", pattern: /\.motion_modules\.\d+\.temporal_transformer\./ },
  {
    kind: "other",
    label: "Stable Video Diffusion",
    pattern: /\.time_stack\.|\.time_mixer\.|\.temporal_transformer_blocks\.|\.temporal_res_block\./,
  },
  { kind: "other", label: "Chroma", keys: ["distilled_guidance_layer.in_proj.bias", "distilled_guidance_layer.in_proj.weight"] },
  { kind: "other", label: "Flux.2", keys: ["single_stream_modulation.lin.weight", "single_stream_modulation.linear.weight"] },
  {
    kind: "other",
    label: "HunyuanVideo",
    keys: [
      "txt_in.individual_token_refiner.blocks.0.adaLN_modulation.1.bias",
      "context_embedder.token_refiner.refiner_blocks.0.norm1.weight",
    ],
  },
  {
    kind: "later",
    label: "Flux",
    keys: [
      "double_blocks.0.img_attn.norm.key_norm.scale",
      "double_blocks.0.img_attn.qkv.weight",
      "single_transformer_blocks.0.proj_mlp.weight",
    ],
  },
  {
    kind: "other",
    label: "AuraFlow",
    keys: ["double_layers.0.attn.w1q.weight", "joint_transformer_blocks.0.attn.to_q.weight", "cond_seq_linear.weight"],
  },
  { kind: "other", label: "Qwen-Image", keys: ["transformer_blocks.0.img_mod.1.weight", "txt_norm.weight"] },
  {
    kind: "later",
    label: "Stable Diffusion 3",
    keys: [
      "joint_blocks.0.context_block.attn.qkv.weight",
      "joint_blocks.0.context_block.adaLN_modulation.1.bias",
      "transformer_blocks.0.attn.add_q_proj.weight",
    ],
  },
  {
    kind: "later",
    label: "Wan",
    keys: ["head.modulation", "blocks.0.cross_attn.norm_k.weight", "condition_embedder.time_embedder.linear_1.weight"],
  },
  { kind: "other", label: "LTX-Video", keys: ["patchify_proj.weight"] },
  {
    kind: "other",
    label: "Stable Cascade",
    keys: ["clip_txt_mapper.weight", "clip_txt_pooled_mapper.weight", "clip_mapper.weight", "clf.1.weight"],
  },
  { kind: "other", label: "Hunyuan-DiT", keys: ["mlp_t5.0.weight", "text_embedder.linear_1.weight", "extra_embedder.0.weight"] },
  {
    kind: "other",
    label: "Kandinsky",
    keys: ["encoder_hid_proj.image_embeds.weight", "add_embedding.image_norm.weight", "encoder_hid_proj.text_proj.weight", "prd_embedding"],
  },
  {
    kind: "other",
    label: "PixArt",
    keys: [
      "adaln_single.emb.timestep_embedder.linear_1.weight",
      "adaln_single.linear.weight",
      "y_embedder.y_proj.fc1.weight",
      "caption_projection.linear_1.weight",
    ],
  },
  { kind: "other", label: "Sana", keys: ["blocks.0.cross_attn.q_linear.weight"] },
  { kind: "other", label: "Lumina", keys: ["cap_embedder.0.weight", "time_caption_embed.caption_embedder.0.weight"] },
  { kind: "other", label: "Mochi", keys: ["t5_yproj.weight", "blocks.0.attn.qkv_x.weight"] },
  { kind: "other", label: "HiDream", keys: ["double_stream_blocks.0.block.adaLN_modulation.1.bias"] },
  { kind: "other", label: "Cosmos", keys: ["net.x_embedder.proj.1.weight"] },
  { kind: "other", label: "DeepFloyd IF", keys: ["add_embedding.pool.positional_embedding", "encoder_hid_proj.weight"] },
  { kind: "other", label: "an unCLIP model", pattern: /^embedder\.model\.visual\.|^noise_augmentor\.|^class_embedding\.linear_1\.weight$/ },
  { kind: "other", label: "Zero123", keys: ["cc_projection.weight"] },
  { kind: "other", label: "Playground v2.5", keys: ["edm_mean"] },
  { kind: "other", label: "an EDM-sampled v-prediction model (CosXL)", keys: ["edm_vpred.sigma_max"] },
  { kind: "other", label: "a latent consistency model", keys: ["time_embed.cond_proj.weight", "time_embedding.cond_proj.weight"] },
  { kind: "other", label: "a checkpoint quantised to FP8 with scales", pattern: /(^|\.)scaled_fp8$|\.scale_weight$/ },
  { kind: "other", label: "a checkpoint quantised by bitsandbytes", pattern: /\.weight\.(absmax|quant_map|quant_state\..+)$/ },
];

/** Kinds told only where there is no UNet, since a checkpoint has these keys as well. */
const PARTS: readonly Rule[] = [
  {
    kind: "part",
    label: "a VAE without a UNet",
    keys: ["decoder.conv_in.weight", "encoder.conv_in.weight", "first_stage_model.decoder.conv_in.weight", "vae.decoder.conv_in.weight"],
  },
  { kind: "part", label: "a T5 text encoder", pattern: /(^|\.)encoder\.block\.0\.layer\.0\.SelfAttention\.q\.weight$/ },
  { kind: "part", label: "a CLIP vision encoder", pattern: /(^|\.)(vision_model|visual)\./ },
  {
    kind: "part",
    label: "a CLIP text encoder without a UNet",
    pattern: /(^|\.)(encoder\.layers\.0\.self_attn\.q_proj|transformer\.resblocks\.0\.mlp\.c_fc)\.weight$/,
  },
  { kind: "other", label: "an image upscaler", pattern: /^(params_ema\.)?(conv_first|model\.0)\.weight$|\.(rdb|RDB)1\./ },
];

/** What a file is whose keys say that it is not one of the checkpoints that can be exported; undefined where nothing says so. */
export function recognise(names: Iterable<string>, metadata: ReadonlyMap<string, string>): Recognition | undefined {
  if (metadata.get("format")?.startsWith("trt_lora/")) return answer(RULES[0]!);
  const keys = new Set(names);
  return find(RULES, keys);
}

/** What a file without a UNet is; undefined where its keys tell nothing. */
export function recognisePart(names: Iterable<string>): Recognition | undefined {
  const keys = new Set(names);
  // A newer embedding file for SDXL has these two tensors and nothing else.
  if (keys.size > 0 && [...keys].every((key) => key === "clip_l" || key === "clip_g")) {
    return { kind: "embedding", label: "a textual-inversion embedding" };
  }
  return find(PARTS, keys);
}

function find(rules: readonly Rule[], keys: ReadonlySet<string>): Recognition | undefined {
  const rule = rules.find((candidate) => fits(candidate, keys));
  return rule && answer(rule);
}

function fits({ keys, pattern }: Rule, names: ReadonlySet<string>): boolean {
  if (keys?.some((key) => PREFIXES.some((prefix) => names.has(prefix + key)))) return true;
  if (!pattern) return false;
  for (const name of names) if (pattern.test(name)) return true;
  return false;
}

function answer({ kind, label }: Rule): Recognition {
  return { kind, label };
}
