import type { OnnxNode } from "../../src/formats/onnx.ts";
import type { EmittedGraph } from "../../src/models/graph/emit.ts";
import { GraphRewriter } from "./graph-rewriter.ts";

/*
 * Other spellings of the same UNet, to be timed against the product's own. Each takes the emitted graph and gives another that
 * computes the same (but for rounding, and for geglu-tanh).
 */
export type Variant = (graph: EmittedGraph) => EmittedGraph;

/** Sizes of the dynamic axes by name. */
export type Sizes = Readonly<Record<string, number>>;

export function fixSizes(graph: EmittedGraph, sizes: Sizes): EmittedGraph {
  const fixed = <Value extends { readonly shape: readonly (number | string)[] }>(value: Value): Value => ({
    ...value,
    shape: value.shape.map((size) => (typeof size === "number" ? size : sizes[size]!)),
  });
  return { ...graph, inputs: graph.inputs.map(fixed), outputs: graph.outputs.map(fixed) };
}

function rewrite(change: (graph: GraphRewriter) => void): Variant {
  return (graph) => {
    const rewriter = new GraphRewriter(graph);
    change(rewriter);
    return rewriter.finish();
  };
}

/** Linear layers with a bias as MatMul and Add, as those without one are, instead of Gemm between reshapes. */
const asProducts = rewrite((graph) => {
  for (const gemm of graph.nodes("Gemm")) {
    const [rows, weight, bias] = gemm.inputs as [string, string, string];
    const flat = graph.producer(rows);
    const restored = graph.consumer(gemm.outputs[0]!);
    const shape = graph.producer(restored.inputs[1]!);
    const leading = graph.producer(shape.inputs[0]!);
    graph.remove(flat, gemm, restored, shape, leading, graph.producer(leading.inputs[0]!));
    const product = graph.op("MatMul", [flat.inputs[0]!, graph.op("Transpose", [weight], { perm: [1, 0] })]);
    graph.op("Add", [product, bias], {}, restored.outputs[0]);
  }
});

/** A change of linear layers that are spelled as products. */
function rewriteProducts(change: (graph: GraphRewriter) => void): Variant {
  const rewritten = rewrite(change);
  return (graph) => rewritten(asProducts(graph));
}

interface Attention {
  readonly softmax: OnnxNode;
  readonly scores: OnnxNode;
  readonly scaled: OnnxNode;
  readonly q: string;
  readonly scale: string;
  readonly transposed: OnnxNode;
}

function attentions(graph: GraphRewriter): Attention[] {
  return graph.nodes("Softmax").map((softmax) => {
    const scores = graph.producer(softmax.inputs[0]!);
    const scaled = graph.producer(scores.inputs[0]!);
    return { softmax, scores, scaled, q: scaled.inputs[0]!, scale: scaled.inputs[1]!, transposed: graph.producer(scores.inputs[1]!) };
  });
}

/** The factor of 64 wide heads. */
const SCALE = 1 / 8;

const attention: Readonly<Record<string, Variant>> = {
  "attention-scale-scores": rewrite((graph) => {
    for (const { scores, scaled, q, scale } of attentions(graph)) {
      graph.remove(scores, scaled);
      const product = graph.op("MatMul", [q, scores.inputs[1]!]);
      graph.op("Mul", [product, scale], {}, scores.outputs[0]);
    }
  }),
  "attention-scale-sqrt": rewrite((graph) => {
    const root = graph.scalar(Math.sqrt(SCALE));
    for (const { scores, scaled, q, transposed } of attentions(graph)) {
      graph.remove(scores, scaled);
      const inputs = [graph.op("Mul", [q, root]), graph.op("Mul", [transposed.outputs[0]!, root])];
      graph.op("MatMul", inputs, {}, scores.outputs[0]);
    }
  }),
  "attention-scale-projection": rewrite((graph) => {
    for (const { scores, scaled, q, scale } of attentions(graph)) {
      const heads = graph.producer(q);
      const split = graph.producer(heads.inputs[0]!);
      graph.remove(scores, scaled, split);
      graph.op("Reshape", [graph.op("Mul", [split.inputs[0]!, scale]), split.inputs[1]!], {}, split.outputs[0]);
      graph.op("MatMul", [q, scores.inputs[1]!], {}, scores.outputs[0]);
    }
  }),
  "attention-one-transpose": rewrite((graph) => {
    for (const { transposed } of attentions(graph)) {
      const heads = graph.producer(transposed.inputs[0]!);
      graph.remove(transposed, heads);
      graph.op("Transpose", [heads.inputs[0]!], { perm: [0, 2, 3, 1] }, transposed.outputs[0]);
    }
  }),
  "attention-softmax-fp32": rewrite((graph) => {
    for (const { softmax } of attentions(graph)) {
      graph.remove(softmax);
      const wide = graph.op("Softmax", [graph.cast(softmax.inputs[0]!, "F32")], { axis: -1 });
      graph.cast(wide, "F16", softmax.outputs[0]);
    }
  }),
  "attention-no-scale": rewrite((graph) => {
    for (const { scores, scaled, q } of attentions(graph)) {
      graph.remove(scaled, scores);
      graph.op("MatMul", [q, scores.inputs[1]!], {}, scores.outputs[0]);
    }
  }),
};

interface Norm {
  /** From [B, C, h, w] to the groups [B, 32, ..]. */
  readonly groups: OnnxNode;
  readonly normalized: OnnxNode;
  readonly restored: OnnxNode;
  readonly scaled: OnnxNode;
  readonly shifted: OnnxNode;
  /** The activation behind it, where there is one. */
  readonly sigmoid?: OnnxNode;
  readonly activated?: OnnxNode;
}

function groupNorms(graph: GraphRewriter): Norm[] {
  return graph.nodes("InstanceNormalization").map((normalized) => {
    const groups = graph.producer(normalized.inputs[0]!);
    const restored = graph.consumer(normalized.outputs[0]!);
    const scaled = graph.consumer(restored.outputs[0]!);
    const shifted = graph.consumer(scaled.outputs[0]!);
    const sigmoid = graph.consumers(shifted.outputs[0]!).find((node) => node.operator === "Sigmoid");
    if (!sigmoid) return { groups, normalized, restored, scaled, shifted };
    return { groups, normalized, restored, scaled, shifted, sigmoid, activated: graph.consumer(sigmoid.outputs[0]!) };
  });
}

function removeNorm(graph: GraphRewriter, { groups, normalized, restored, scaled, shifted, sigmoid, activated }: Norm): string {
  graph.remove(groups, normalized, restored, scaled, shifted);
  if (!sigmoid || !activated) return shifted.outputs[0]!;
  graph.remove(sigmoid, activated);
  return activated.outputs[0]!;
}

/** Scale, shift and activation in fp32, then back; `x` is fp32 [B, C, h, w]. */
function affineInFloat(graph: GraphRewriter, norm: Norm, x: string, output: string): void {
  const scaled = graph.op("Mul", [x, graph.cast(norm.scaled.inputs[1]!, "F32")]);
  let y = graph.op("Add", [scaled, graph.cast(norm.shifted.inputs[1]!, "F32")]);
  if (norm.sigmoid) y = graph.op("Mul", [y, graph.op("Sigmoid", [y])]);
  graph.cast(y, "F16", output);
}

function epsilonOf(node: OnnxNode): number {
  return (node.attributes["epsilon"] as { readonly float: number }).float;
}

/** (x - mean) / √(variance + ε) over the last axis, in fp32. */
function normalizeInFloat(graph: GraphRewriter, x: string, epsilon: number): string {
  const axes = graph.integers([-1]);
  const centred = graph.op("Sub", [x, graph.op("ReduceMean", [x, axes], { keepdims: 1 })]);
  const variance = graph.op("ReduceMean", [graph.op("Mul", [centred, centred]), axes], { keepdims: 1 });
  return graph.op("Div", [centred, graph.op("Sqrt", [graph.op("Add", [variance, graph.floats([epsilon])])])]);
}

const norm: Readonly<Record<string, Variant>> = {
  "norm-fp32-inside": rewrite((graph) => {
    const ones = graph.floats(Array<number>(32).fill(1), [32]);
    const zeros = graph.floats(Array<number>(32).fill(0), [32]);
    for (const { normalized } of groupNorms(graph)) {
      graph.remove(normalized);
      const wide = graph.cast(normalized.inputs[0]!, "F32");
      graph.cast(graph.op("InstanceNormalization", [wide, ones, zeros], normalized.attributes), "F16", normalized.outputs[0]);
    }
  }),
  "norm-fp32-through-silu": rewrite((graph) => {
    const ones = graph.floats(Array<number>(32).fill(1), [32]);
    const zeros = graph.floats(Array<number>(32).fill(0), [32]);
    for (const each of groupNorms(graph)) {
      const output = removeNorm(graph, each);
      const wide = graph.cast(graph.op("Reshape", each.groups.inputs), "F32");
      const normalized = graph.op("InstanceNormalization", [wide, ones, zeros], each.normalized.attributes);
      affineInFloat(graph, each, graph.op("Reshape", [normalized, each.restored.inputs[1]!]), output);
    }
  }),
  "norm-primitive": rewrite((graph) => {
    for (const each of groupNorms(graph)) {
      const output = removeNorm(graph, each);
      const wide = graph.cast(graph.op("Reshape", each.groups.inputs), "F32");
      const normalized = normalizeInFloat(graph, wide, epsilonOf(each.normalized));
      affineInFloat(graph, each, graph.op("Reshape", [normalized, each.restored.inputs[1]!]), output);
    }
  }),
  // Opset 21's operator, which TensorRT 10.6 was seen to refuse.
  "norm-group-operator": rewrite((graph) => {
    for (const { groups, normalized, restored, scaled, shifted } of groupNorms(graph)) {
      graph.remove(groups, normalized, restored, scaled, shifted);
      const affine = [scaled, shifted].map((node) => graph.producer(node.inputs[1]!).inputs[0]!);
      const attributes = { epsilon: normalized.attributes["epsilon"]!, num_groups: 32 };
      graph.op("GroupNormalization", [groups.inputs[0]!, ...affine], attributes, shifted.outputs[0]);
    }
  }),
  "layernorm-fp32": rewrite((graph) => {
    for (const node of graph.nodes("LayerNormalization")) {
      graph.remove(node);
      const wide = node.inputs.map((input) => graph.cast(input, "F32"));
      graph.cast(graph.op("LayerNormalization", wide, node.attributes), "F16", node.outputs[0]);
    }
  }),
  "layernorm-primitive": rewrite((graph) => {
    for (const node of graph.nodes("LayerNormalization")) {
      graph.remove(node);
      const [x, scale, shift] = node.inputs.map((input) => graph.cast(input, "F32")) as [string, string, string];
      const scaled = graph.op("Mul", [normalizeInFloat(graph, x, epsilonOf(node)), scale]);
      graph.cast(graph.op("Add", [scaled, shift]), "F16", node.outputs[0]);
    }
  }),
};

function geglus(graph: GraphRewriter): { readonly split: OnnxNode; readonly gelu: OnnxNode; readonly product: OnnxNode }[] {
  return graph.nodes("Gelu").map((gelu) => {
    return { split: graph.producer(gelu.inputs[0]!), gelu, product: graph.consumer(gelu.outputs[0]!) };
  });
}

function exactGelu(graph: GraphRewriter, x: string, output?: string): string {
  const error = graph.op("Erf", [graph.op("Mul", [x, graph.scalar(Math.SQRT1_2)])]);
  const half = graph.op("Mul", [x, graph.scalar(0.5)]);
  return graph.op("Mul", [half, graph.op("Add", [error, graph.scalar(1)])], {}, output);
}

const geglu: Readonly<Record<string, Variant>> = {
  "geglu-slice": rewriteProducts((graph) => {
    for (const { split } of geglus(graph)) {
      graph.remove(split);
      const width = widthOf(graph, split.inputs[0]!) / 2;
      const slice = (from: number, to: number, output: string) =>
        graph.op("Slice", [split.inputs[0]!, graph.integers([from]), graph.integers([to]), graph.integers([-1])], {}, output);
      slice(0, width, split.outputs[0]!);
      slice(width, 2 * width, split.outputs[1]!);
    }
  }),
  "geglu-erf": rewrite((graph) => {
    for (const { gelu } of geglus(graph)) {
      graph.remove(gelu);
      exactGelu(graph, gelu.inputs[0]!, gelu.outputs[0]);
    }
  }),
  "geglu-erf-fp32": rewrite((graph) => {
    const [root, half, one] = [graph.floats([Math.SQRT1_2]), graph.floats([0.5]), graph.floats([1])];
    for (const { gelu } of geglus(graph)) {
      graph.remove(gelu);
      const x = graph.cast(gelu.inputs[0]!, "F32");
      const sum = graph.op("Add", [graph.op("Erf", [graph.op("Mul", [x, root])]), one]);
      graph.cast(graph.op("Mul", [graph.op("Mul", [x, half]), sum]), "F16", gelu.outputs[0]);
    }
  }),
  "geglu-tanh": rewrite((graph) => {
    for (const { gelu } of geglus(graph)) {
      graph.remove(gelu);
      graph.op("Gelu", gelu.inputs, { approximate: "tanh" }, gelu.outputs[0]);
    }
  }),
  "geglu-two-products": rewriteProducts((graph) => {
    for (const { split } of geglus(graph)) {
      const sum = graph.producer(split.inputs[0]!);
      const product = graph.producer(sum.inputs[0]!);
      const transposed = graph.producer(product.inputs[1]!);
      const weight = transposed.inputs[0]!;
      const bias = sum.inputs[1]!;
      const width = graph.shape(weight)[0]! / 2;
      graph.remove(split, sum, product, transposed);
      split.outputs.forEach((output, index) => {
        const range = [graph.integers([index * width]), graph.integers([(index + 1) * width]), graph.integers([0])];
        const matrix = graph.op("Transpose", [graph.op("Slice", [weight, ...range])], { perm: [1, 0] });
        graph.op("Add", [graph.op("MatMul", [product.inputs[0]!, matrix]), graph.op("Slice", [bias, ...range])], {}, output);
      });
    }
  }),
};

/** The last axis of a projection with bias. */
function widthOf(graph: GraphRewriter, value: string): number {
  return graph.shape(graph.producer(value).inputs[1]!)[0]!;
}

interface Linear {
  readonly product: OnnxNode;
  readonly transposed: OnnxNode;
  readonly weight: string;
}

function linears(graph: GraphRewriter): Linear[] {
  return graph.nodes("MatMul").flatMap((product) => {
    const transposed = graph.producer(product.inputs[1]!);
    const weight = transposed.inputs[0]!;
    return transposed.operator === "Transpose" && graph.isWeight(weight) ? [{ product, transposed, weight }] : [];
  });
}

/** Several linear layers of one input as one product with the weights one below the other. */
function joinLinears(graph: GraphRewriter, group: readonly Linear[]): void {
  graph.remove(...group.flatMap(({ product, transposed }) => [product, transposed]));
  const weights = graph.op(
    "Concat",
    group.map(({ weight }) => weight),
    { axis: 0 },
  );
  const joined = graph.op("MatMul", [group[0]!.product.inputs[0]!, graph.op("Transpose", [weights], { perm: [1, 0] })]);
  graph.ops(
    "Split",
    [joined],
    group.map(({ product }) => product.outputs[0]!),
    { axis: -1, num_outputs: group.length },
  );
}

function groupsOf(all: readonly Linear[], pattern: RegExp): Linear[][] {
  const groups = new Map<string, Linear[]>();
  for (const each of all) {
    const match = pattern.exec(each.weight);
    if (match) groups.set(match[1]!, [...(groups.get(match[1]!) ?? []), each]);
  }
  return [...groups.values()];
}

/** Every linear layer as Gemm, its bias inside or added behind it. */
function asGemm(isBiasInside: boolean): Variant {
  return rewriteProducts((graph) => {
    for (const { product, transposed, weight } of linears(graph)) {
      const [out, width] = graph.shape(weight) as [number, number];
      const isMatrix = /time_embed|label_emb|emb_layers/.test(weight);
      const [next] = graph.consumers(product.outputs[0]!);
      const sum = isBiasInside && next?.operator === "Add" && graph.isWeight(next.inputs[1]!) ? next : undefined;
      graph.remove(product, transposed, ...(sum ? [sum] : []));
      const rows = isMatrix ? product.inputs[0]! : graph.op("Reshape", [product.inputs[0]!, graph.integers([-1, width])]);
      const output = (sum ?? product).outputs[0];
      const y = graph.op("Gemm", [rows, weight, ...(sum ? [sum.inputs[1]!] : [])], { transB: 1 }, isMatrix ? output : undefined);
      if (!isMatrix) graph.op("Reshape", [y, graph.integers([2, -1, out])], {}, output);
    }
  });
}

const projections: Readonly<Record<string, Variant>> = {
  "linear-matmul": asProducts,
  "linear-gemm": asGemm(true),
  "linear-gemm-bias-outside": asGemm(false),
  "projection-qkv-joined": rewriteProducts((graph) => {
    for (const group of groupsOf(linears(graph), /^(.*attn1)\.to_[qkv]\.weight$/)) joinLinears(graph, group);
  }),
  "projection-kv-joined": rewriteProducts((graph) => {
    for (const group of groupsOf(linears(graph), /^(.*attn2)\.to_[kv]\.weight$/)) joinLinears(graph, group);
  }),
  "projection-conv1x1": rewriteProducts((graph) => {
    for (const { product, transposed, weight } of linears(graph)) {
      if (!weight.endsWith("proj_in.weight")) continue;
      const sum = graph.consumer(product.outputs[0]!);
      const sequence = graph.producer(product.inputs[0]!);
      const flat = graph.producer(sequence.inputs[0]!);
      graph.remove(product, transposed, sum, sequence, flat);
      const kernel = graph.op("Unsqueeze", [weight, graph.integers([2, 3])]);
      const y = graph.op("Conv", [flat.inputs[0]!, kernel, sum.inputs[1]!], { kernel_shape: [1, 1] });
      const rows = graph.op("Reshape", [y, graph.integers([0, graph.shape(weight)[0]!, -1])]);
      graph.op("Transpose", [rows], { perm: [0, 2, 1] }, sum.outputs[0]);
    }
  }),
};

const together = (...names: readonly string[]): Variant => {
  return (graph) => names.reduce((result, name) => SINGLE[name]!(result), graph);
};

const SINGLE: Readonly<Record<string, Variant>> = { base: (graph) => graph, ...attention, ...norm, ...geglu, ...projections };

/** By name; "dynamic" is "base" with dynamic axes in the ONNX file, all others have theirs fixed. */
export const VARIANTS: Readonly<Record<string, Variant>> = {
  dynamic: (graph) => graph,
  ...SINGLE,
  "together-fp32": together("attention-softmax-fp32", "norm-fp32-through-silu", "layernorm-fp32", "geglu-erf-fp32"),
  "together-primitive": together("norm-primitive", "layernorm-primitive", "geglu-erf"),
};
