import type { UNetStructure } from "./configuration.ts";
import { ShapeList } from "./shape-list.ts";
import { UNET_PREFIX, unetParts, type UNetPart } from "./unet-parts.ts";

/** Every tensor of a UNet with its shape, in the order they are used, under single-file names. */
export function unetShapes(unet: UNetStructure): Map<string, readonly number[]> {
  const list = new ShapeList();
  const timeWidth = 4 * unet.modelChannels;
  list.add(`${UNET_PREFIX}time_embed.0`, [timeWidth, unet.modelChannels]);
  list.add(`${UNET_PREFIX}time_embed.2`, [timeWidth, timeWidth]);
  if (unet.admWidth > 0) {
    list.add(`${UNET_PREFIX}label_emb.0.0`, [timeWidth, unet.admWidth]);
    list.add(`${UNET_PREFIX}label_emb.0.2`, [timeWidth, timeWidth]);
  }
  for (const part of unetParts(unet)) addPart(list, part, unet, timeWidth);
  const width = unet.levels[0]?.width ?? unet.modelChannels;
  list.add(`${UNET_PREFIX}out.0`, [width]);
  list.add(`${UNET_PREFIX}out.2`, [unet.outChannels, width, 3, 3]);
  return list.shapes;
}

function addPart(list: ShapeList, part: UNetPart, unet: UNetStructure, timeWidth: number): void {
  const { kind, ldm, inWidth, outWidth } = part;
  if (kind === "transformer") {
    addTransformer(list, part, unet);
  } else if (kind === "residual") {
    list.add(`${ldm}.in_layers.0`, [inWidth]);
    list.add(`${ldm}.in_layers.2`, [outWidth, inWidth, 3, 3]);
    list.add(`${ldm}.emb_layers.1`, [outWidth, timeWidth]);
    list.add(`${ldm}.out_layers.0`, [outWidth]);
    list.add(`${ldm}.out_layers.3`, [outWidth, outWidth, 3, 3]);
    if (inWidth !== outWidth) list.add(`${ldm}.skip_connection`, [outWidth, inWidth, 1, 1]);
  } else {
    list.add(ldm, [outWidth, inWidth, 3, 3]);
  }
}

function addTransformer(list: ShapeList, { ldm, outWidth: width, depth }: UNetPart, unet: UNetStructure): void {
  const projection = unet.linearProjections ? [width, width] : [width, width, 1, 1];
  list.add(`${ldm}.norm`, [width]);
  list.add(`${ldm}.proj_in`, projection);
  for (let index = 0; index < depth; index++) {
    const block = `${ldm}.transformer_blocks.${index}`;
    for (const [attention, contextWidth] of [
      ["attn1", width],
      ["attn2", unet.contextWidth],
    ] as const) {
      list.add(`${block}.${attention}.to_q`, [width, width], false);
      list.add(`${block}.${attention}.to_k`, [width, contextWidth], false);
      list.add(`${block}.${attention}.to_v`, [width, contextWidth], false);
      list.add(`${block}.${attention}.to_out.0`, [width, width]);
    }
    list.add(`${block}.ff.net.0.proj`, [8 * width, width]);
    list.add(`${block}.ff.net.2`, [width, 4 * width]);
    for (const norm of ["norm1", "norm2", "norm3"]) list.add(`${block}.${norm}`, [width]);
  }
  list.add(`${ldm}.proj_out`, projection);
}
