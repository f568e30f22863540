import type { UNetStructure } from "./configuration.ts";
import { UNET_PREFIX, unetParts, type UNetPart } from "./unet-parts.ts";

/** Modules outside the numbered blocks: diffusers' name, then the single-file one. */
const OUTER_MODULES: readonly (readonly [string, string])[] = [
  ["time_embedding.linear_1", "time_embed.0"],
  ["time_embedding.linear_2", "time_embed.2"],
  ["conv_norm_out", "out.0"],
  ["conv_out", "out.2"],
];

const LABEL_MODULES: readonly (readonly [string, string])[] = [
  ["add_embedding.linear_1", "label_emb.0.0"],
  ["add_embedding.linear_2", "label_emb.0.2"],
];

const RESIDUAL_MODULES: readonly (readonly [string, string])[] = [
  ["norm1", "in_layers.0"],
  ["conv1", "in_layers.2"],
  ["time_emb_proj", "emb_layers.1"],
  ["norm2", "out_layers.0"],
  ["conv2", "out_layers.3"],
];

const TRANSFORMER_MODULES: readonly string[] = ["norm", "proj_in", "proj_out"];

const TRANSFORMER_BLOCK_MODULES: readonly string[] = [
  "norm1",
  "attn1.to_q",
  "attn1.to_k",
  "attn1.to_v",
  "attn1.to_out.0",
  "norm2",
  "attn2.to_q",
  "attn2.to_k",
  "attn2.to_v",
  "attn2.to_out.0",
  "norm3",
  "ff.net.0.proj",
  "ff.net.2",
];

/**
 * Every module of a UNet that has weights: its path in diffusers ("down_blocks.1.attentions.0.proj_in") -> its path in a single-file
 * checkpoint ("model.diffusion_model.input_blocks.4.1.proj_in"), both without ".weight" or ".bias".
 */
export function unetDiffusersToLdm(unet: UNetStructure): Map<string, string> {
  const names = new Map<string, string>();
  for (const [diffusers, ldm] of OUTER_MODULES) names.set(diffusers, UNET_PREFIX + ldm);
  if (unet.admWidth > 0) for (const [diffusers, ldm] of LABEL_MODULES) names.set(diffusers, UNET_PREFIX + ldm);
  for (const part of unetParts(unet)) {
    for (const [diffusers, ldm] of partModules(part)) names.set(diffusers, ldm);
  }
  return names;
}

function partModules(part: UNetPart): (readonly [string, string])[] {
  const { kind, ldm, diffusers, inWidth, outWidth, depth } = part;
  if (kind === "residual") {
    const modules = RESIDUAL_MODULES.map(([theirs, ours]) => [`${diffusers}.${theirs}`, `${ldm}.${ours}`] as const);
    return inWidth === outWidth ? modules : [...modules, [`${diffusers}.conv_shortcut`, `${ldm}.skip_connection`]];
  }
  if (kind === "transformer") {
    const blocks = Array.from({ length: depth }, (_, index) => `transformer_blocks.${index}`);
    const inner = [...TRANSFORMER_MODULES, ...blocks.flatMap((block) => TRANSFORMER_BLOCK_MODULES.map((name) => `${block}.${name}`))];
    return inner.map((name) => [`${diffusers}.${name}`, `${ldm}.${name}`]);
  }
  return [[diffusers, ldm]];
}
