import type { WeightTable } from "../checkpoint.ts";
import type { TextEncoderConfiguration } from "../configuration.ts";
import { textEncoderModules, type TextEncoderModule } from "../text-encoder-names.ts";
import { attention } from "./attention.ts";
import { GraphBuilder } from "./builder.ts";
import type { EmittedGraph } from "./emitted.ts";
import { layerNorm, linear, product } from "./layers.ts";
import type { GraphTarget } from "./target.ts";

/**
 * A CLIP text encoder (arXiv:2103.00020) in the layout of transformers or of OpenCLIP. Inputs, both int32: `input_ids` [B, T], T at most the
 * number of positions, and `end_positions` [B], the position of each prompt's end token. Outputs: `last_hidden_state` [B, T, W], after
 * the final normalization; `penultimate_hidden_state`, the input of the last layer, and `penultimate_normalized`, the same after the
 * final normalization; where there is a projection `pooled` [B, P], the projected last hidden state at the end positions.
 */
export function emitClip(weights: WeightTable, configuration: TextEncoderConfiguration, target: GraphTarget): EmittedGraph {
  return new ClipWriter(new GraphBuilder(configuration.component, weights, target), configuration).write();
}

/** Smaller than any score, and still a number in fp16. */
const MASKED = -65_504;

class ClipWriter {
  readonly #graph: GraphBuilder;
  readonly #configuration: TextEncoderConfiguration;
  readonly #modules: ReadonlyMap<string, TextEncoderModule>;

  constructor(graph: GraphBuilder, configuration: TextEncoderConfiguration) {
    this.#graph = graph;
    this.#configuration = configuration;
    this.#modules = textEncoderModules(configuration);
  }

  write(): EmittedGraph {
    const graph = this.#graph;
    const { layers, projectionWidth } = this.#configuration;
    const tokens = graph.input("input_ids", "I32", ["batch", "tokens"]);
    const endPositions = graph.input("end_positions", "I32", ["batch"]);
    const length = graph.op("Shape", [tokens], { start: 1, end: 2 });
    const mask = this.#causalMask(length);

    let x = this.#embed(tokens, length);
    let penultimate = x;
    for (let i = 0; i < layers; i++) {
      penultimate = x;
      x = this.#layer(x, mask, `encoder.layers.${i}`);
    }
    const last = this.#norm(x, "final_layer_norm");
    this.#output("last_hidden_state", last);
    this.#output("penultimate_hidden_state", penultimate);
    this.#output("penultimate_normalized", this.#norm(penultimate, "final_layer_norm"));
    if (projectionWidth > 0) this.#pooled(last, endPositions);
    return graph.finish();
  }

  /** A module by its name in transformers' CLIPTextModel, in whichever layout the checkpoint has it. */
  #module(name: string): TextEncoderModule {
    const module = this.#modules.get(name);
    if (!module) throw new Error(`A CLIP text encoder has no module "${name}".`);
    return module;
  }

  #norm(x: string, name: string): string {
    return layerNorm(this.#graph, x, modulePath(this.#module(`text_model.${name}`)), "refittable");
  }

  #linear(x: string, name: string): string {
    return linear(this.#graph, x, modulePath(this.#module(`text_model.${name}`)), "refittable");
  }

  #output(name: string, value: string): void {
    this.#graph.output(name, value, ["batch", "tokens", this.#configuration.width]);
  }

  #embed(tokens: string, length: string): string {
    const graph = this.#graph;
    const embedded = graph.op("Gather", [graph.weight(this.#module("text_model.embeddings.token_embedding").weight), tokens], { axis: 0 });
    const table = graph.weight(this.#module("text_model.embeddings.position_embedding").weight);
    const positions = graph.op("Slice", [table, graph.integers([0]), length, graph.integers([0])]);
    return graph.op("Add", [embedded, positions]);
  }

  /** [1, 1, T, T]: 0 where a token may look, at itself and those before it; MASKED elsewhere. */
  #causalMask(length: string): string {
    const graph = this.#graph;
    const count = graph.op("Squeeze", [length, graph.integers([0])]);
    const positions = graph.op("Range", [graph.integer(0), count, graph.integer(1)]);
    const visible = graph.op("GreaterOrEqual", [
      graph.op("Unsqueeze", [positions, graph.integers([1])]),
      graph.op("Unsqueeze", [positions, graph.integers([0])]),
    ]);
    const mask = graph.op("Where", [visible, graph.computeFloats([0], []), graph.computeFloats([MASKED], [])]);
    return graph.op("Unsqueeze", [mask, graph.integers([0, 1])]);
  }

  #layer(x: string, mask: string, path: string): string {
    const graph = this.#graph;
    const { heads, width } = this.#configuration;
    const [q, k, v] = this.#projections(this.#norm(x, `${path}.layer_norm1`), `${path}.self_attn`);
    const attended = attention(graph, q, k, v, { heads, width: width / heads }, mask);
    const y = graph.op("Add", [this.#linear(attended, `${path}.self_attn.out_proj`), x]);
    const hidden = this.#linear(this.#norm(y, `${path}.layer_norm2`), `${path}.mlp.fc1`);
    return graph.op("Add", [this.#linear(this.#activate(hidden), `${path}.mlp.fc2`), y]);
  }

  #projections(x: string, path: string): [string, string, string] {
    const graph = this.#graph;
    const { weight, bias, rows } = this.#module(`text_model.${path}.q_proj`);
    if (!rows || bias === undefined) {
      return [this.#linear(x, `${path}.q_proj`), this.#linear(x, `${path}.k_proj`), this.#linear(x, `${path}.v_proj`)];
    }
    const all = graph.op("Add", [product(graph, x, weight, "refittable"), graph.refittableWeight(bias)]);
    return graph.split(all, 3, -1) as [string, string, string];
  }

  /** GELU, exact (arXiv:1606.08415), or the first CLIP's x · sigmoid(1.702·x). */
  #activate(x: string): string {
    const graph = this.#graph;
    if (this.#configuration.activation === "gelu") return graph.op("Gelu", [x]);
    const scaled = graph.op("Mul", [x, graph.computeFloats([1.702], [])]);
    return graph.op("Mul", [x, graph.op("Sigmoid", [scaled])]);
  }

  #pooled(last: string, endPositions: string): void {
    const graph = this.#graph;
    const { weight, transposed = false } = this.#module("text_projection");
    const indices = graph.op("Unsqueeze", [graph.cast(endPositions, "I32", "I64"), graph.integers([1])]);
    const ends = graph.op("GatherND", [last, indices], { batch_dims: 1 });
    const pooled = transposed ? graph.op("MatMul", [ends, graph.refittableWeight(weight)]) : product(graph, ends, weight, "refittable");
    graph.output("pooled", pooled, ["batch", this.#configuration.projectionWidth]);
  }
}

function modulePath({ weight }: TextEncoderModule): string {
  return weight.slice(0, -".weight".length);
}
