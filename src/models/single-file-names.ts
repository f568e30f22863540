import { UNET_PREFIX } from "./unet-parts.ts";
import { VAE_PREFIX } from "./vae-structure.ts";

/** Other starts of keys that are in use, and the usual ones for the same weights. */
const RENAMED_PREFIXES: readonly (readonly [RegExp, string])[] = [
  [/^diffusion_model\./, UNET_PREFIX],
  [/^vae\./, VAE_PREFIX],
  [
    /^(cond_stage_model|conditioner\.embedders\.[01])\.transformer\.(embeddings|encoder|final_layer_norm)\./,
    "$1.transformer.text_model.$2.",
  ],
];

/** Keys of a checkpoint that are no weight of any network, with what they are. */
const NOT_WEIGHTS: readonly (readonly [RegExp, string])[] = [
  [/^model_ema\./, "a copy of the weights, averaged over the training (EMA)"],
  [/(^|\.)position_ids$/, "the positions 0, 1, 2, …, which need no file"],
  [/(^|\.)logit_scale$|\.attn_mask$/, "used in CLIP's training only"],
  [/^(v_pred|ztsnr)$/, "a mark that says how the model was trained"],
  [
    /^(betas|logvar|scale_factor|lvlb_weights|posterior_\w+|(sqrt_|log_)?(one_minus_|recip_|recipm1_)?alphas_cumprod(_prev)?|denoiser\..+)$/,
    "the noise schedule, which is computed instead",
  ],
  [/^(first_stage_model\.)?loss\./, "used in the VAE's training only"],
];

/** The usual single-file name of a weight that has another start in some files. */
export function usualName(name: string): string {
  for (const [pattern, replacement] of RENAMED_PREFIXES) {
    if (pattern.test(name)) return name.replace(pattern, replacement);
  }
  return name;
}

/** Why a key is no network's weight, or undefined where it may be one. */
export function reasonNotWeight(name: string): string | undefined {
  return NOT_WEIGHTS.find(([pattern]) => pattern.test(name))?.[1];
}

/** Where the text encoders of the architectures stand in a single file, in the order that their outputs are joined. */
export const TEXT_ENCODER_PLACES = [
  { prefix: "cond_stage_model.transformer.text_model.", layout: "transformers" },
  { prefix: "cond_stage_model.model.", layout: "openclip" },
  { prefix: "conditioner.embedders.0.transformer.text_model.", layout: "transformers" },
  { prefix: "conditioner.embedders.0.model.", layout: "openclip" },
  { prefix: "conditioner.embedders.1.transformer.text_model.", layout: "transformers" },
  { prefix: "conditioner.embedders.1.model.", layout: "openclip" },
] as const;
