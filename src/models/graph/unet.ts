import type { WeightTable } from "../checkpoint.ts";
import type { UNetConfiguration } from "../configuration.ts";
import { UNET_PREFIX } from "../unet-parts.ts";
import { attention } from "./attention.ts";
import { GraphBuilder } from "./builder.ts";
import type { EmittedGraph } from "./emitted.ts";
import { convolution, groupNorm, layerNorm, linear, silu, toImage, toSequence, upsampleNearest } from "./layers.ts";
import type { GraphTarget } from "./target.ts";

/** What a UNet's graph needs to know beside its weights. */
export type UNetDescription = Pick<UNetConfiguration, "heads" | "contextWidth">;

/**
 * The UNet of Stable Diffusion 1.x, 2.x, SDXL and its refiner (arXiv:2112.10752, arXiv:2307.01952), read off its keys at any
 * width and depth. Inputs `x` [B, C, h, w] (latents), `timesteps` [B] (float32), `context` [B, L, D] and, where the model has
 * one, `y` [B, A]; output `output` [B, C', h, w]. Latents of any size: each upsampling goes to the size of the
 * skip connection it meets.
 */
export function emitUNet(weights: WeightTable, configuration: UNetDescription, target: GraphTarget): EmittedGraph {
  const writer = new UNetWriter(new GraphBuilder("unet", weights, target), configuration);
  return writer.write();
}

class UNetWriter {
  readonly #graph: GraphBuilder;
  readonly #heads: UNetConfiguration["heads"];
  readonly #contextWidth: number;
  #context = "";
  #embedding = "";

  constructor(graph: GraphBuilder, configuration: UNetDescription) {
    this.#graph = graph;
    this.#heads = configuration.heads;
    this.#contextWidth = configuration.contextWidth;
  }

  write(): EmittedGraph {
    const graph = this.#graph;
    const { computeDtype } = graph.target;
    let x = graph.input("x", computeDtype, ["batch", graph.size(`${UNET_PREFIX}input_blocks.0.0.weight`, 1), "height", "width"]);
    const timesteps = graph.input("timesteps", "F32", ["batch"]);
    this.#context = graph.input("context", computeDtype, ["batch", "tokens", this.#contextWidth]);
    this.#embedding = silu(graph, this.#addLabel(this.#timeEmbedding(timesteps)));

    const skips: string[] = [];
    for (let i = 0; graph.hasModule(`${UNET_PREFIX}input_blocks.${i}`); i++) {
      x = this.#block(x, `${UNET_PREFIX}input_blocks.${i}`);
      skips.push(x);
    }
    x = this.#block(x, `${UNET_PREFIX}middle_block`);
    for (let i = 0, skip = skips.pop(); skip !== undefined; i++, skip = skips.pop()) {
      x = this.#block(graph.op("Concat", [x, skip], { axis: 1 }), `${UNET_PREFIX}output_blocks.${i}`, skips.at(-1));
    }
    x = silu(graph, groupNorm(graph, x, `${UNET_PREFIX}out.0`, 1e-5, "refittable"));
    x = convolution(graph, x, `${UNET_PREFIX}out.2`, "refittable");
    graph.output("output", x, ["batch", graph.size(`${UNET_PREFIX}out.2.weight`, 0), "height", "width"]);
    return graph.finish();
  }

  /** Cosines, then sines, of the time step at falling frequencies, in float32; then two linear layers. */
  #timeEmbedding(timesteps: string): string {
    const graph = this.#graph;
    const half = graph.size(`${UNET_PREFIX}time_embed.0.weight`, 1) / 2;
    const frequencies = Array.from({ length: half }, (_, i) => Math.exp((-Math.log(10_000) * i) / half));
    const column = graph.op("Unsqueeze", [timesteps, graph.integers([1])]);
    const angles = graph.op("Mul", [column, graph.floats(frequencies, [1, half])]);
    const waves = graph.op("Concat", [graph.op("Cos", [angles]), graph.op("Sin", [angles])], { axis: 1 });
    return this.#embed(graph.cast(waves, "F32", graph.target.computeDtype), `${UNET_PREFIX}time_embed`);
  }

  #addLabel(embedding: string): string {
    const graph = this.#graph;
    if (!graph.hasModule(`${UNET_PREFIX}label_emb`)) return embedding;
    const y = graph.input("y", graph.target.computeDtype, ["batch", graph.size(`${UNET_PREFIX}label_emb.0.0.weight`, 1)]);
    return graph.op("Add", [embedding, this.#embed(y, `${UNET_PREFIX}label_emb.0`)]);
  }

  #embed(x: string, path: string): string {
    const hidden = silu(this.#graph, linear(this.#graph, x, `${path}.0`, "refittable"));
    return linear(this.#graph, hidden, `${path}.2`, "refittable");
  }

  /** One input, middle or output block: whatever its numbered parts are, in order. `next` is the skip connection met after it. */
  #block(x: string, path: string, next?: string): string {
    for (let i = 0; this.#graph.hasModule(`${path}.${i}`); i++) x = this.#part(x, `${path}.${i}`, next);
    return x;
  }

  #part(x: string, path: string, next: string | undefined): string {
    const graph = this.#graph;
    if (graph.hasModule(`${path}.in_layers`)) return this.#residualBlock(x, path);
    if (graph.hasModule(`${path}.transformer_blocks`)) return this.#spatialTransformer(x, path);
    if (graph.hasModule(`${path}.op`)) return convolution(graph, x, `${path}.op`, "refittable", { stride: 2 });
    if (graph.hasModule(`${path}.conv`)) return convolution(graph, upsampleNearest(graph, x, next), `${path}.conv`, "refittable");
    return convolution(graph, x, path, "refittable");
  }

  #residualBlock(x: string, path: string): string {
    const graph = this.#graph;
    let y = silu(graph, groupNorm(graph, x, `${path}.in_layers.0`, 1e-5, "refittable"));
    y = convolution(graph, y, `${path}.in_layers.2`, "refittable");
    const embedding = linear(graph, this.#embedding, `${path}.emb_layers.1`, "refittable");
    y = graph.op("Add", [y, graph.op("Unsqueeze", [embedding, graph.integers([2, 3])])]);
    y = silu(graph, groupNorm(graph, y, `${path}.out_layers.0`, 1e-5, "refittable"));
    y = convolution(graph, y, `${path}.out_layers.3`, "refittable");
    const skip = graph.hasModule(`${path}.skip_connection`) ? convolution(graph, x, `${path}.skip_connection`, "refittable") : x;
    return graph.op("Add", [skip, y]);
  }

  /** Transformer blocks over the pixels; SD1.x projects in and out by 1×1 convolutions, later models by linear layers. */
  #spatialTransformer(x: string, path: string): string {
    const graph = this.#graph;
    const channels = graph.size(`${path}.norm.weight`, 0);
    const isLinear = graph.shape(`${path}.proj_in.weight`).length === 2;
    const normalized = groupNorm(graph, x, `${path}.norm`, 1e-6, "refittable");
    let y = isLinear
      ? linear(graph, toSequence(graph, normalized, channels), `${path}.proj_in`, "refittable")
      : this.#convolutionToSequence(normalized, `${path}.proj_in`);
    for (let i = 0; graph.hasModule(`${path}.transformer_blocks.${i}`); i++) {
      y = this.#transformerBlock(y, `${path}.transformer_blocks.${i}`);
    }
    y = isLinear
      ? toImage(graph, linear(graph, y, `${path}.proj_out`, "refittable"), x)
      : convolution(graph, toImage(graph, y, x), `${path}.proj_out`, "refittable");
    return graph.op("Add", [y, x]);
  }

  #convolutionToSequence(x: string, path: string): string {
    return toSequence(this.#graph, convolution(this.#graph, x, path, "refittable"), this.#graph.size(`${path}.weight`, 0));
  }

  /** Self-attention, cross-attention to the text, GEGLU feed-forward (arXiv:2002.05202), each with its residual. */
  #transformerBlock(x: string, path: string): string {
    const graph = this.#graph;
    const own = layerNorm(graph, x, `${path}.norm1`, "refittable");
    let y = graph.op("Add", [this.#attention(own, own, `${path}.attn1`), x]);
    y = graph.op("Add", [this.#attention(layerNorm(graph, y, `${path}.norm2`, "refittable"), this.#context, `${path}.attn2`), y]);
    const projected = linear(graph, layerNorm(graph, y, `${path}.norm3`, "refittable"), `${path}.ff.net.0.proj`, "refittable");
    const [value, gate] = graph.split(projected, 2, -1) as [string, string];
    const hidden = graph.op("Mul", [value, graph.op("Gelu", [gate])]);
    return graph.op("Add", [linear(graph, hidden, `${path}.ff.net.2`, "refittable"), y]);
  }

  #attention(x: string, context: string, path: string): string {
    const graph = this.#graph;
    const inner = graph.size(`${path}.to_q.weight`, 0);
    const count = "count" in this.#heads ? this.#heads.count : inner / this.#heads.width;
    const q = linear(graph, x, `${path}.to_q`, "refittable");
    const k = linear(graph, context, `${path}.to_k`, "refittable");
    const v = linear(graph, context, `${path}.to_v`, "refittable");
    return linear(graph, attention(graph, q, k, v, { heads: count, width: inner / count }), `${path}.to_out.0`, "refittable");
  }
}
