import type { TextEncoderConfiguration } from "./configuration.ts";
import { ShapeList } from "./shape-list.ts";
import type { TensorShapes } from "./tensor-shapes.ts";
import { textProjectionName } from "./text-encoder-names.ts";

/** What a CLIP text encoder's keys and shapes tell by themselves. */
export interface TextEncoderStructure {
  readonly layout: "transformers" | "openclip";
  readonly prefix: string;
  readonly width: number;
  readonly layers: number;
  readonly tokens: number;
  readonly projectionWidth: number;
  readonly vocabulary: number;
  /** Width inside the feed-forward layers. */
  readonly innerWidth: number;
}

/** Reads the structure of the text encoder whose keys start with `prefix`. */
export function textEncoderStructure(
  shapes: TensorShapes,
  layout: TextEncoderConfiguration["layout"],
  prefix: string,
): TextEncoderStructure {
  const openClip = layout === "openclip";
  const tokenEmbedding = `${prefix}${openClip ? "" : "embeddings."}token_embedding.weight`;
  const positions = `${prefix}${openClip ? "positional_embedding" : "embeddings.position_embedding.weight"}`;
  const layer = `${prefix}${openClip ? "transformer.resblocks." : "encoder.layers."}`;
  const feedForward = openClip ? ".mlp.c_fc.weight" : ".mlp.fc1.weight";
  const projection = textProjectionName({ layout, prefix });
  return {
    layout,
    prefix,
    width: shapes.size(tokenEmbedding, 1),
    layers: shapes.count(layer, feedForward),
    tokens: shapes.size(positions, 0),
    projectionWidth: shapes.has(projection) ? shapes.size(projection, openClip ? 1 : 0) : 0,
    vocabulary: shapes.size(tokenEmbedding, 0),
    innerWidth: shapes.size(`${layer}0${feedForward}`, 0),
  };
}

/** Every tensor of a text encoder with its shape, in the order they are used. */
export function textEncoderShapes(encoder: TextEncoderStructure): Map<string, readonly number[]> {
  return encoder.layout === "openclip" ? openClipShapes(encoder) : transformersShapes(encoder);
}

function transformersShapes(encoder: TextEncoderStructure): Map<string, readonly number[]> {
  const { prefix, width, layers, tokens, vocabulary, innerWidth, projectionWidth } = encoder;
  const list = new ShapeList();
  list.add(`${prefix}embeddings.token_embedding`, [vocabulary, width], false);
  list.add(`${prefix}embeddings.position_embedding`, [tokens, width], false);
  for (let index = 0; index < layers; index++) {
    const layer = `${prefix}encoder.layers.${index}`;
    list.add(`${layer}.layer_norm1`, [width]);
    for (const module of ["q_proj", "k_proj", "v_proj", "out_proj"]) list.add(`${layer}.self_attn.${module}`, [width, width]);
    list.add(`${layer}.layer_norm2`, [width]);
    list.add(`${layer}.mlp.fc1`, [innerWidth, width]);
    list.add(`${layer}.mlp.fc2`, [width, innerWidth]);
  }
  list.add(`${prefix}final_layer_norm`, [width]);
  if (projectionWidth > 0) list.shapes.set(textProjectionName(encoder), [projectionWidth, width]);
  return list.shapes;
}

function openClipShapes(encoder: TextEncoderStructure): Map<string, readonly number[]> {
  const { prefix, width, layers, tokens, vocabulary, innerWidth, projectionWidth } = encoder;
  const list = new ShapeList();
  list.add(`${prefix}token_embedding`, [vocabulary, width], false);
  list.shapes.set(`${prefix}positional_embedding`, [tokens, width]);
  for (let index = 0; index < layers; index++) {
    const layer = `${prefix}transformer.resblocks.${index}`;
    list.add(`${layer}.ln_1`, [width]);
    list.shapes.set(`${layer}.attn.in_proj_weight`, [3 * width, width]);
    list.shapes.set(`${layer}.attn.in_proj_bias`, [3 * width]);
    list.add(`${layer}.attn.out_proj`, [width, width]);
    list.add(`${layer}.ln_2`, [width]);
    list.add(`${layer}.mlp.c_fc`, [innerWidth, width]);
    list.add(`${layer}.mlp.c_proj`, [width, innerWidth]);
  }
  list.add(`${prefix}ln_final`, [width]);
  if (projectionWidth > 0) list.shapes.set(textProjectionName(encoder), [width, projectionWidth]);
  return list.shapes;
}
