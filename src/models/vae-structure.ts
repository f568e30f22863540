import { ShapeList } from "./shape-list.ts";
import type { TensorShapes } from "./tensor-shapes.ts";

/** Start of a VAE's keys in a single-file checkpoint. */
export const VAE_PREFIX = "first_stage_model.";

/** Block structure of a VAE of CompVis' AutoencoderKL. */
export interface VaeStructure {
  /** Channels of each resolution, from the image's own down to the latents'. */
  readonly widths: readonly number[];
  /** Residual blocks of a level of the encoder, and of the decoder. */
  readonly encoderBlocks: number;
  readonly decoderBlocks: number;
  readonly imageChannels: number;
  readonly latentChannels: number;
  /** Whether there are 1×1 convolutions next to the latents (quant_conv, post_quant_conv). */
  readonly quantConvolutions: boolean;
}

/** Which halves of a VAE are meant. */
export type VaeHalf = "encoder" | "decoder";

/** Reads the structure of a VAE off its single-file names; either half is enough. */
export function vaeStructure(shapes: TensorShapes): VaeStructure {
  const half = shapes.has(`${VAE_PREFIX}decoder.conv_in.weight`) ? "decoder" : "encoder";
  const levels = `${VAE_PREFIX}${half}.${half === "decoder" ? "up" : "down"}`;
  const count = shapes.count(`${levels}.`, ".block.0.conv1.weight");
  const widths = Array.from({ length: count }, (_, index) => shapes.size(`${levels}.${index}.block.0.conv1.weight`, 0));
  return {
    widths,
    encoderBlocks: shapes.count(`${VAE_PREFIX}encoder.down.0.block.`, ".conv1.weight"),
    decoderBlocks: shapes.count(`${VAE_PREFIX}decoder.up.0.block.`, ".conv1.weight"),
    imageChannels:
      half === "decoder" ? shapes.size(`${VAE_PREFIX}decoder.conv_out.weight`, 0) : shapes.size(`${VAE_PREFIX}encoder.conv_in.weight`, 1),
    latentChannels:
      half === "decoder"
        ? shapes.size(`${VAE_PREFIX}decoder.conv_in.weight`, 1)
        : shapes.size(`${VAE_PREFIX}encoder.conv_out.weight`, 0) / 2,
    quantConvolutions: shapes.has(`${VAE_PREFIX}quant_conv.weight`) || shapes.has(`${VAE_PREFIX}post_quant_conv.weight`),
  };
}

/** Every tensor of one half of a VAE with its shape, in the order they are used, under single-file names. */
export function vaeShapes(vae: VaeStructure, half: VaeHalf): Map<string, readonly number[]> {
  return half === "encoder" ? encoderShapes(vae) : decoderShapes(vae);
}

function encoderShapes({ widths, encoderBlocks, imageChannels, latentChannels, quantConvolutions }: VaeStructure) {
  const list = new ShapeList();
  const path = `${VAE_PREFIX}encoder`;
  let width = widths[0] ?? 0;
  list.add(`${path}.conv_in`, [width, imageChannels, 3, 3]);
  widths.forEach((outWidth, level) => {
    for (let block = 0; block < encoderBlocks; block++) {
      addResidual(list, `${path}.down.${level}.block.${block}`, width, outWidth);
      width = outWidth;
    }
    if (level < widths.length - 1) list.add(`${path}.down.${level}.downsample.conv`, [width, width, 3, 3]);
  });
  addMiddle(list, `${path}.mid`, width);
  list.add(`${path}.norm_out`, [width]);
  list.add(`${path}.conv_out`, [2 * latentChannels, width, 3, 3]);
  if (quantConvolutions) list.add(`${VAE_PREFIX}quant_conv`, [2 * latentChannels, 2 * latentChannels, 1, 1]);
  return list.shapes;
}

function decoderShapes({ widths, decoderBlocks, imageChannels, latentChannels, quantConvolutions }: VaeStructure) {
  const list = new ShapeList();
  const path = `${VAE_PREFIX}decoder`;
  let width = widths.at(-1) ?? 0;
  if (quantConvolutions) list.add(`${VAE_PREFIX}post_quant_conv`, [latentChannels, latentChannels, 1, 1]);
  list.add(`${path}.conv_in`, [width, latentChannels, 3, 3]);
  addMiddle(list, `${path}.mid`, width);
  for (let level = widths.length - 1; level >= 0; level--) {
    for (let block = 0; block < decoderBlocks; block++) {
      addResidual(list, `${path}.up.${level}.block.${block}`, width, widths[level]!);
      width = widths[level]!;
    }
    if (level > 0) list.add(`${path}.up.${level}.upsample.conv`, [width, width, 3, 3]);
  }
  list.add(`${path}.norm_out`, [width]);
  list.add(`${path}.conv_out`, [imageChannels, width, 3, 3]);
  return list.shapes;
}

function addMiddle(list: ShapeList, path: string, width: number): void {
  addResidual(list, `${path}.block_1`, width, width);
  list.add(`${path}.attn_1.norm`, [width]);
  for (const module of ["q", "k", "v", "proj_out"]) list.add(`${path}.attn_1.${module}`, [width, width, 1, 1]);
  addResidual(list, `${path}.block_2`, width, width);
}

function addResidual(list: ShapeList, path: string, inWidth: number, outWidth: number): void {
  list.add(`${path}.norm1`, [inWidth]);
  list.add(`${path}.conv1`, [outWidth, inWidth, 3, 3]);
  list.add(`${path}.norm2`, [outWidth]);
  list.add(`${path}.conv2`, [outWidth, outWidth, 3, 3]);
  if (inWidth !== outWidth) list.add(`${path}.nin_shortcut`, [outWidth, inWidth, 1, 1]);
}
