import type { UNetStructure } from "./configuration.ts";

/** Start of a UNet's keys in a single-file checkpoint. */
export const UNET_PREFIX = "model.diffusion_model.";

/**
 * One numbered part of a UNet, under its name in single-file checkpoints (with UNET_PREFIX) and in diffusers. A downsampler is a
 * convolution of stride 2, an upsampler doubles the resolution and then convolves.
 */
export interface UNetPart {
  readonly kind: "convolution" | "residual" | "transformer" | "downsampler" | "upsampler";
  readonly ldm: string;
  readonly diffusers: string;
  readonly inWidth: number;
  readonly outWidth: number;
  /** Transformer blocks of a transformer; 0 for all others. */
  readonly depth: number;
}

/**
 * The parts of a UNet in the order they run, from its first convolution to its last upsampler.
 * Numbering: CompVis' `UNetModel` counts every residual block and downsampler as one block, and the decoder's upsampler stands last in
 * the last block of its level; diffusers' `UNet2DConditionModel` counts levels, and parts of one kind within a level.
 */
export function unetParts(unet: UNetStructure): UNetPart[] {
  const parts: UNetPart[] = [];
  const skips: number[] = [];
  let width = unet.modelChannels;
  let block = 0;
  parts.push(part("convolution", `input_blocks.${block++}.0`, "conv_in", unet.inChannels, width));
  skips.push(width);

  unet.levels.forEach((level, index) => {
    level.down.forEach((depth, position) => {
      const ldm = `input_blocks.${block++}`;
      const diffusers = `down_blocks.${index}`;
      parts.push(part("residual", `${ldm}.0`, `${diffusers}.resnets.${position}`, width, level.width));
      if (depth > 0) parts.push(transformer(`${ldm}.1`, `${diffusers}.attentions.${position}`, level.width, depth));
      width = level.width;
      skips.push(width);
    });
    if (index === unet.levels.length - 1) return;
    parts.push(part("downsampler", `input_blocks.${block++}.0.op`, `down_blocks.${index}.downsamplers.0.conv`, width, width));
    skips.push(width);
  });

  parts.push(...middleParts(unet, width));

  block = 0;
  for (let index = unet.levels.length - 1; index >= 0; index--) {
    const level = unet.levels[index]!;
    const diffusers = `up_blocks.${unet.levels.length - 1 - index}`;
    level.up.forEach((depth, position) => {
      const ldm = `output_blocks.${block++}`;
      const skip = skips.pop() ?? 0;
      parts.push(part("residual", `${ldm}.0`, `${diffusers}.resnets.${position}`, width + skip, level.width));
      if (depth > 0) parts.push(transformer(`${ldm}.1`, `${diffusers}.attentions.${position}`, level.width, depth));
      width = level.width;
      if (index === 0 || position < level.up.length - 1) return;
      parts.push(part("upsampler", `${ldm}.${depth > 0 ? 2 : 1}.conv`, `${diffusers}.upsamplers.0.conv`, width, width));
    });
  }
  return parts;
}

function middleParts({ middle }: UNetStructure, width: number): UNetPart[] {
  const parts: UNetPart[] = [];
  for (let index = 0; index < middle.residualBlocks; index++) {
    parts.push(part("residual", `middle_block.${parts.length}`, `mid_block.resnets.${index}`, width, width));
    if (index === 0 && middle.depth > 0) {
      parts.push(transformer(`middle_block.${parts.length}`, "mid_block.attentions.0", width, middle.depth));
    }
  }
  return parts;
}

function part(kind: UNetPart["kind"], ldm: string, diffusers: string, inWidth: number, outWidth: number): UNetPart {
  return { kind, ldm: UNET_PREFIX + ldm, diffusers, inWidth, outWidth, depth: 0 };
}

function transformer(ldm: string, diffusers: string, width: number, depth: number): UNetPart {
  return { kind: "transformer", ldm: UNET_PREFIX + ldm, diffusers, inWidth: width, outWidth: width, depth };
}
