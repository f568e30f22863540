import { UserError } from "../formats/errors.ts";
import { ARCHITECTURE_LABEL, type Architecture } from "../models/architecture.ts";
import type { BaseDescription } from "./base.ts";
import type { LoraFile } from "./lora-file.ts";
import type { LoraUpdate } from "./update.ts";

/** What a LoRA was trained for, as far as its keys and shapes tell. */
export interface LoraArchitecture {
  /** In the field's words: "Stable Diffusion 1.x", "PixArt". */
  readonly label: string;
  /** Absent for a model that is not one of the families here. */
  readonly architecture?: Architecture;
  /** Width of the text that its cross-attention reads, of a UNet's LoRA that changes one. */
  readonly contextWidth?: number;
}

/** Modules that only one family of transformers has; names are compared with "_" for ".". The first that occurs decides. */
const TRANSFORMER_FAMILIES: readonly (readonly [RegExp, string, Architecture?])[] = [
  [/(?:^|_)(?:img|txt)_mlp_net_|transformer_blocks_\d+_(?:img|txt)_mod_/, "Qwen-Image"],
  [/(?:^|_)double_blocks_\d+_|(?:^|_)single_blocks_\d+_|single_transformer_blocks_\d+_/, ARCHITECTURE_LABEL.flux, "flux"],
  [/(?:^|_)joint_blocks_\d+_|(?:^|_)transformer_blocks_\d+_attn_/, ARCHITECTURE_LABEL.sd3, "sd3"],
  [/(?:^|_)blocks_\d+_(?:self_attn|cross_attn)_(?:q|k|v|o)(?:_|$)/, ARCHITECTURE_LABEL.wan, "wan"],
  [/^(?:base_model_model_|transformer_|lora_unet_|lora_transformer_|diffusion_model_)*transformer_blocks_\d+_attn[12]_/, "PixArt"],
  [/(?:^|_)blocks_\d+_(?:attn_qkv|cross_attn_(?:q|kv)_linear)|(?:^|_)(?:adaln_single|caption_projection)_/, "PixArt"],
  [/^lora_prior_(?:unet|te)_/, "Stable Cascade"],
  [/^(?:base_model_model_)?model_layers_\d+_(?:self_attn|mlp)_/, "a language model"],
];

const UNET_BLOCK = /(?:^|_)(?:input_blocks|middle_block|output_blocks|down_blocks|mid_block|up_blocks)_/;
const CROSS_ATTENTION_INPUT = /_attn2_to_[kv]$/;

/** Width of the text encoders' output that the UNets of a family read. */
const UNET_BY_CONTEXT: ReadonlyMap<number, Architecture> = new Map([
  [768, "sd1"],
  [1024, "sd2"],
  [2048, "sdxl"],
  [1280, "sdxl-refiner"],
]);

/** What a LoRA was trained for; undefined where its modules could be of several models. */
export function detectLoraArchitecture(updates: readonly LoraUpdate[]): LoraArchitecture | undefined {
  const names = updates.map(({ module }) => module.replaceAll(".", "_"));
  for (const [pattern, label, architecture] of TRANSFORMER_FAMILIES) {
    if (names.some((name) => pattern.test(name))) return { label, ...(architecture === undefined ? {} : { architecture }) };
  }
  const contextWidth = updates.find(
    ({ inputs }, index) => inputs !== undefined && UNET_BLOCK.test(names[index]!) && CROSS_ATTENTION_INPUT.test(names[index]!),
  )?.inputs;
  if (contextWidth !== undefined) {
    const architecture = UNET_BY_CONTEXT.get(contextWidth);
    return architecture === undefined
      ? { label: "a UNet of another size", contextWidth }
      : { label: ARCHITECTURE_LABEL[architecture], architecture, contextWidth };
  }
  const hasSecondEncoder = names.some((name) => /^(?:lora_te2|text_encoder_2)_/.test(name));
  const onlyTextEncoders = names.every((name) => /^(?:lora_te\d?|text_encoder(?:_\d)?)_/.test(name));
  return hasSecondEncoder && onlyTextEncoders ? { label: ARCHITECTURE_LABEL.sdxl, architecture: "sdxl" } : undefined;
}

/** Throws "lora.wrongArchitecture" for a LoRA that was certainly trained for another model than the base's. */
export function refuseOtherArchitecture(lora: LoraFile, base: BaseDescription): void {
  const found = detectLoraArchitecture(lora.updates);
  if (!found) return;
  const { unet } = base.configuration;
  if (found.contextWidth === undefined ? found.architecture === base.architecture : found.contextWidth === unet?.contextWidth) return;
  const width = (context: number | undefined) => (context === undefined ? "" : ` (text context of width ${context})`);
  throw new UserError(
    "lora.wrongArchitecture",
    `${lora.path} is a LoRA for ${found.label}${width(found.contextWidth)}, ` +
      `but "${base.name}" is ${ARCHITECTURE_LABEL[base.architecture]}${found.contextWidth === undefined ? "" : width(unet?.contextWidth)}. ` +
      `Use a LoRA that was trained for ${ARCHITECTURE_LABEL[base.architecture]}.`,
  );
}
