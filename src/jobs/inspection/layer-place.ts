import type { LayerPlace } from "./types.ts";

/** Component -> what names of its layers begin with, in any of the field's spellings. The first that fits is taken. */
const COMPONENTS: readonly (readonly [string, RegExp])[] = [
  ["text_encoder_3", /^(lora_te3|text_encoder_3|text_encoders[._](t5|umt5)|t5xxl)/],
  ["text_encoder_2", /^(lora_te2|text_encoder_2|clip_g|text_encoders[._]clip_g|conditioner[._]embedders[._]1)/],
  ["text_encoder", /^(lora_te1?[._]|text_encoder|clip_l|cond_stage_model|conditioner[._]embedders[._]0|text_model)/],
  ["vae", /^(first_stage_model|vae[._]|encoder[._]|decoder[._])/],
  ["transformer", /(^|[._])(double_blocks|single_blocks|single_transformer_blocks|joint_blocks)[._]/],
  ["unet", /(^|[._])((input|output|middle|down|up|mid)_blocks?)([._]|$)|(^|[._])(time_embed|time_embedding|label_emb|add_embedding)[._]/],
  ["transformer", /(^|[._])(transformer_blocks|blocks)[._]\d+/],
];

/** Label -> pattern of the block's name; `$1` is its number. In the order that a network runs them. */
const BLOCKS: readonly (readonly [string, RegExp])[] = [
  ["IN", /input_blocks[._](\d+)/],
  ["DOWN", /down(?:_blocks)?[._](\d+)/],
  ["MID", /(?:middle_block|mid_block|[._]mid[._])()/],
  ["OUT", /output_blocks[._](\d+)/],
  ["UP", /[._]?up(?:_blocks)?[._](\d+)/],
  ["double", /double_blocks[._](\d+)/],
  ["single", /single_(?:transformer_)?blocks[._](\d+)/],
  ["joint", /joint_blocks[._](\d+)/],
  ["layer", /(?:layers|resblocks)[._](\d+)/],
  ["block", /(?:transformer_blocks|blocks|block)[._](\d+)/],
];

/** Role -> pattern of the end of a name without ".weight" and ".bias". In the order of the map's columns. */
const ROLES: readonly (readonly [string, RegExp])[] = [
  ["attn1 q", /attn1[._](to_)?q$/],
  ["attn1 k", /attn1[._](to_)?k$/],
  ["attn1 v", /attn1[._](to_)?v$/],
  ["attn1 out", /attn1[._]to_out([._]0)?$/],
  ["attn2 q", /attn2[._](to_)?q$/],
  ["attn2 k", /attn2[._](to_)?k$/],
  ["attn2 v", /attn2[._](to_)?v$/],
  ["attn2 out", /attn2[._]to_out([._]0)?$/],
  ["qkv", /(qkv|in_proj(_weight|_bias)?|linear1)$/],
  ["attn q", /((to_)?q|q_proj|query)$/],
  ["attn k", /((to_)?k|k_proj|key)$/],
  ["attn v", /((to_)?v|v_proj|value)$/],
  ["attn out", /(to_out([._]0)?|out_proj|attn[._]proj|linear2|self_attn[._]o|cross_attn[._]o)$/],
  ["ff in", /(ff[._]net[._]0([._]proj)?|fc1|c_fc|mlp[._]0|ffn[._]0|ff_context[._]net[._]0[._]proj|wi(_\d)?)$/],
  ["ff out", /(ff[._]net[._]2|fc2|c_proj|mlp[._]2|ffn[._]2|ff_context[._]net[._]2|wo)$/],
  ["proj in", /proj_in$/],
  ["proj out", /proj_out$/],
  ["conv 1", /(in_layers[._]2|conv1)$/],
  ["conv 2", /(out_layers[._]3|conv2)$/],
  ["time", /(emb_layers[._]1|time_emb_proj|time_embed[._]\d|label_emb.*|linear_[12]|time_in.*|vector_in.*|guidance_in.*)$/],
  ["skip", /(skip_connection|conv_shortcut|nin_shortcut)$/],
  ["sample", /([._]op|downsample.*conv|upsample.*conv|samplers[._]\d[._]conv)$/],
  ["modulation", /(modulation|img_mod|txt_mod|adaln|norm\w*[._]linear|adaLN_modulation).*$/i],
  ["norm", /(norm\w*|ln_\w+|in_layers[._]0|out_layers[._]0|group_norm)$/],
  ["embedding", /(token_embedding|position_embedding|positional_embedding|patch_embed\w*|img_in|txt_in|x_embedder|context_embedder)$/],
  ["conv", /(conv_in|conv_out|conv|input_blocks[._]0[._]0|quant_conv|[._]out[._]2)$/],
];

export const OTHER = "other";

/** Where a layer stands, as far as its name tells: a single-file (LDM) name, diffusers', kohya's with underscores, PEFT's. */
export function layerPlace(name: string): LayerPlace {
  const path = name.replace(/^(base_model[._]model[._])/, "").replace(/[._](weight|bias)$/, "");
  const component = COMPONENTS.find(([, pattern]) => pattern.test(path))?.[0] ?? OTHER;
  return { component, block: blockOf(path), role: ROLES.find(([, pattern]) => pattern.test(path))?.[0] ?? OTHER };
}

function blockOf(path: string): string {
  for (const [label, pattern] of BLOCKS) {
    const match = pattern.exec(path);
    if (match) return match[1] === "" ? label : `${label} ${match[1]}`;
  }
  return OTHER;
}
