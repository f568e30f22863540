import type { WeightTable } from "../checkpoint.ts";
import { VAE_PREFIX } from "../vae-structure.ts";
import { attention } from "./attention.ts";
import { GraphBuilder } from "./builder.ts";
import type { EmittedGraph } from "./emitted.ts";
import { convolution, groupNorm, linear, silu, toImage, toSequence, upsampleNearest } from "./layers.ts";
import type { GraphTarget } from "./target.ts";

const EPSILON = 1e-6;

/**
 * The decoder of the latent diffusion autoencoder (arXiv:2112.10752), at any width and depth: `latents` [B, C, h, w], the scale
 * already divided out, -> `image` [B, 3, factor·h, factor·w] in −1 … 1. No LoRA reaches it.
 */
export function emitVaeDecoder(weights: WeightTable, target: GraphTarget): EmittedGraph {
  const graph = new GraphBuilder("vae_decoder", weights, target);
  const path = `${VAE_PREFIX}decoder`;
  const channels = graph.size(`${path}.conv_in.weight`, 1);
  let x = graph.input("latents", target.computeDtype, ["batch", channels, "height", "width"]);
  if (graph.hasModule(`${VAE_PREFIX}post_quant_conv`)) x = convolution(graph, x, `${VAE_PREFIX}post_quant_conv`, "fixed");
  x = convolution(graph, x, `${path}.conv_in`, "fixed");
  x = middle(graph, x, `${path}.mid`);
  for (let level = levels(graph, `${path}.up`) - 1; level >= 0; level--) {
    x = blocks(graph, x, `${path}.up.${level}`);
    const upsampler = `${path}.up.${level}.upsample.conv`;
    if (graph.hasModule(upsampler)) x = convolution(graph, upsampleNearest(graph, x), upsampler, "fixed");
  }
  x = silu(graph, groupNorm(graph, x, `${path}.norm_out`, EPSILON, "fixed"));
  x = convolution(graph, x, `${path}.conv_out`, "fixed");
  graph.output("image", x, ["batch", graph.size(`${path}.conv_out.weight`, 0), "image_height", "image_width"]);
  return graph.finish();
}

/**
 * The encoder: `image` [B, 3, H, W] in −1 … 1 -> `moments` [B, 2·C, H / factor, W / factor], the mean and the logarithm of the
 * variance of the latents, one after the other, not yet scaled.
 */
export function emitVaeEncoder(weights: WeightTable, target: GraphTarget): EmittedGraph {
  const graph = new GraphBuilder("vae_encoder", weights, target);
  const path = `${VAE_PREFIX}encoder`;
  const channels = graph.size(`${path}.conv_in.weight`, 1);
  let x = graph.input("image", target.computeDtype, ["batch", channels, "image_height", "image_width"]);
  x = convolution(graph, x, `${path}.conv_in`, "fixed");
  for (let level = 0; level < levels(graph, `${path}.down`); level++) {
    x = blocks(graph, x, `${path}.down.${level}`);
    const downsampler = `${path}.down.${level}.downsample.conv`;
    // The zeros stand at the bottom and right only.
    if (graph.hasModule(downsampler)) x = convolution(graph, x, downsampler, "fixed", { stride: 2, pads: [0, 0, 1, 1] });
  }
  x = middle(graph, x, `${path}.mid`);
  x = silu(graph, groupNorm(graph, x, `${path}.norm_out`, EPSILON, "fixed"));
  x = convolution(graph, x, `${path}.conv_out`, "fixed");
  if (graph.hasModule(`${VAE_PREFIX}quant_conv`)) x = convolution(graph, x, `${VAE_PREFIX}quant_conv`, "fixed");
  graph.output("moments", x, ["batch", graph.size(`${path}.conv_out.weight`, 0), "height", "width"]);
  return graph.finish();
}

function levels(graph: GraphBuilder, path: string): number {
  let count = 0;
  while (graph.hasModule(`${path}.${count}`)) count++;
  return count;
}

function blocks(graph: GraphBuilder, x: string, path: string): string {
  for (let i = 0; graph.hasModule(`${path}.block.${i}`); i++) x = residualBlock(graph, x, `${path}.block.${i}`);
  return x;
}

function middle(graph: GraphBuilder, x: string, path: string): string {
  const y = selfAttention(graph, residualBlock(graph, x, `${path}.block_1`), `${path}.attn_1`);
  return residualBlock(graph, y, `${path}.block_2`);
}

function residualBlock(graph: GraphBuilder, x: string, path: string): string {
  let y = silu(graph, groupNorm(graph, x, `${path}.norm1`, EPSILON, "fixed"));
  y = convolution(graph, y, `${path}.conv1`, "fixed");
  y = silu(graph, groupNorm(graph, y, `${path}.norm2`, EPSILON, "fixed"));
  y = convolution(graph, y, `${path}.conv2`, "fixed");
  const skip = graph.hasModule(`${path}.nin_shortcut`) ? convolution(graph, x, `${path}.nin_shortcut`, "fixed") : x;
  return graph.op("Add", [skip, y]);
}

/** One head over all pixels. */
function selfAttention(graph: GraphBuilder, x: string, path: string): string {
  const width = graph.size(`${path}.norm.weight`, 0);
  const sequence = toSequence(graph, groupNorm(graph, x, `${path}.norm`, EPSILON, "fixed"), width);
  const [q, k, v] = ["q", "k", "v"].map((name) => linear(graph, sequence, `${path}.${name}`, "fixed")) as [string, string, string];
  const attended = linear(graph, attention(graph, q, k, v, { heads: 1, width }), `${path}.proj_out`, "fixed");
  return graph.op("Add", [toImage(graph, attended, x), x]);
}
