import { VAE_PREFIX } from "./vae-structure.ts";

/** Modules of the middle's attention: diffusers' name and, since 2023, its newer one; then the single-file one. */
const ATTENTION_MODULES: Readonly<Record<string, string>> = {
  group_norm: "norm",
  to_q: "q",
  to_k: "k",
  to_v: "v",
  "to_out.0": "proj_out",
  query: "q",
  key: "k",
  value: "v",
  proj_attn: "proj_out",
};

/**
 * The single-file name of a tensor of diffusers' AutoencoderKL ("decoder.up_blocks.0.resnets.1.conv1.weight" ->
 * "first_stage_model.decoder.up.3.block.1.conv1.weight"), or undefined for one that AutoencoderKL does not have. The attention's
 * weights are matrices in diffusers and 1×1 convolutions in single files: only the name is changed here.
 * @param levels number of resolutions, because the two count the decoder's from opposite ends
 */
export function vaeDiffusersToLdm(name: string, levels: number): string | undefined {
  const ldm = outerName(name) ?? levelName(name, levels) ?? middleName(name);
  return ldm === undefined ? undefined : VAE_PREFIX + ldm;
}

function outerName(name: string): string | undefined {
  if (/^(post_)?quant_conv\.(weight|bias)$/.test(name)) return name;
  return /^(encoder|decoder)\.(conv_in|conv_out|conv_norm_out)\.(weight|bias)$/.test(name)
    ? name.replace("conv_norm_out", "norm_out")
    : undefined;
}

function levelName(name: string, levels: number): string | undefined {
  const match = /^(encoder\.down|decoder\.up)_blocks\.(\d+)\.(.+)$/.exec(name);
  if (!match) return undefined;
  const [, half, index, rest] = match as unknown as [string, string, string, string];
  const level = half === "decoder.up" ? levels - 1 - Number(index) : Number(index);
  const residual = /^resnets\.(\d+)\.((?:norm|conv)[12]|conv_shortcut)\.(weight|bias)$/.exec(rest);
  if (residual) return `${half}.${level}.block.${residual[1]}.${residual[2]!.replace("conv_shortcut", "nin_shortcut")}.${residual[3]}`;
  const sampler = /^(down|up)samplers\.0\.conv\.(weight|bias)$/.exec(rest);
  return sampler ? `${half}.${level}.${sampler[1]}sample.conv.${sampler[2]}` : undefined;
}

function middleName(name: string): string | undefined {
  const residual = /^(encoder|decoder)\.mid_block\.resnets\.([01])\.((?:norm|conv)[12])\.(weight|bias)$/.exec(name);
  if (residual) return `${residual[1]}.mid.block_${Number(residual[2]) + 1}.${residual[3]}.${residual[4]}`;
  const attention = /^(encoder|decoder)\.mid_block\.attentions\.0\.(.+)\.(weight|bias)$/.exec(name);
  const module = attention && ATTENTION_MODULES[attention[2]!];
  return module ? `${attention[1]}.mid.attn_1.${module}.${attention[3]}` : undefined;
}
