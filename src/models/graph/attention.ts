import type { GraphBuilder } from "./builder.ts";

export interface AttentionShape {
  readonly heads: number;
  /** Width of one head. */
  readonly width: number;
}

/**
 * softmax(q·kᵀ / √width) · v per head (arXiv:1706.03762). q is [B, L, heads·width], k and v are [B, S, heads·width], the result
 * is like q. `bias`, where given, is added to the scores [B, heads, L, S] and broadcast over them: [1, 1, L, S].
 */
export function attention(graph: GraphBuilder, q: string, k: string, v: string, shape: AttentionShape, bias?: string): string {
  if (graph.target.backend === "onnxruntime") {
    // On the CPU this operator never holds all scores at once (arXiv:2205.14135).
    const inputs = bias === undefined ? [q, k, v] : [q, k, v, "", "", bias];
    return graph.contribOp("MultiHeadAttention", inputs, { num_heads: shape.heads });
  }
  const scale = graph.computeFloats([1 / Math.sqrt(shape.width)], []);
  const scaled = graph.op("Mul", [splitHeads(graph, q, shape), scale]);
  const transposed = graph.op("Transpose", [splitHeads(graph, k, shape)], { perm: [0, 1, 3, 2] });
  const product = graph.op("MatMul", [scaled, transposed]);
  const scores = bias === undefined ? product : graph.op("Add", [product, bias]);
  const weighted = graph.op("MatMul", [graph.op("Softmax", [scores], { axis: -1 }), splitHeads(graph, v, shape)]);
  const joined = graph.op("Transpose", [weighted], { perm: [0, 2, 1, 3] });
  return graph.op("Reshape", [joined, graph.integers([0, 0, shape.heads * shape.width])]);
}

/** [B, L, heads·width] -> [B, heads, L, width]. */
function splitHeads(graph: GraphBuilder, x: string, shape: AttentionShape): string {
  const split = graph.op("Reshape", [x, graph.integers([0, 0, shape.heads, shape.width])]);
  return graph.op("Transpose", [split], { perm: [0, 2, 1, 3] });
}
