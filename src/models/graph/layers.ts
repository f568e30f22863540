import type { GraphBuilder } from "./builder.ts";

/*
 * The layers all networks here share. A layer is named by its module's path in the checkpoint; `reach` says whether a LoRA can
 * change its weight and bias (UNet, text encoders) or not (VAE).
 */

export type Reach = "refittable" | "fixed";

const GROUPS = 32;

/** [.., in] -> [.., out] by the module's weight and, where it has one, its bias. */
export function linear(graph: GraphBuilder, x: string, path: string, reach: Reach): string {
  const weight = `${path}.weight`;
  if (!graph.has(`${path}.bias`)) return product(graph, x, weight, reach);
  if (graph.target.backend === "tensorrt") return rowsProduct(graph, x, path, reach);
  return graph.op("Add", [product(graph, x, weight, reach), useWeight(graph, `${path}.bias`, reach)]);
}

/**
 * A linear layer of all rows of x [.., in] in one matrix, its bias inside. For this TensorRT has kernels of its own; for MatMul and Add it
 * compiles some for each layer, which make SDXL's engine load 1.2 s and its refit 16 ms longer (BENCHMARKS.md).
 */
function rowsProduct(graph: GraphBuilder, x: string, path: string, reach: Reach): string {
  const name = `${path}.weight`;
  const [out, width] = [graph.size(name, 0), graph.size(name, 1)];
  const weight = asMatrix(graph, name, useWeight(graph, name, reach));
  const rows = graph.op("Reshape", [x, graph.integers([-1, width])]);
  const y = graph.op("Gemm", [rows, weight, useWeight(graph, `${path}.bias`, reach)], { transB: 1 });
  const leading = graph.op("Slice", [graph.op("Shape", [x]), graph.integers([0]), graph.integers([-1])]);
  return graph.op("Reshape", [y, graph.op("Concat", [leading, graph.integers([out])], { axis: 0 })]);
}

/** x · Wᵀ; the weight is [out, in] as in PyTorch, or a 1×1 convolution's [out, in, 1, 1]. */
export function product(graph: GraphBuilder, x: string, weight: string, reach: Reach): string {
  const matrix = asMatrix(graph, weight, useWeight(graph, weight, reach));
  return graph.op("MatMul", [x, graph.op("Transpose", [matrix], { perm: [1, 0] })]);
}

function useWeight(graph: GraphBuilder, name: string, reach: Reach): string {
  return reach === "refittable" ? graph.refittableWeight(name) : graph.weight(name);
}

function asMatrix(graph: GraphBuilder, name: string, value: string): string {
  if (graph.shape(name).length === 2) return value;
  return graph.op("Reshape", [value, graph.integers([graph.size(name, 0), graph.size(name, 1)])]);
}

interface ConvolutionOptions {
  readonly stride?: number;
  /** Zeros added at top, left, bottom, right; half the kernel by default, which keeps the size at stride 1. */
  readonly pads?: readonly [number, number, number, number];
}

/** [B, in, h, w] -> [B, out, h', w'] with the weight [out, in, k, k], or a matrix [out, in] for k = 1. */
export function convolution(graph: GraphBuilder, x: string, path: string, reach: Reach, options: ConvolutionOptions = {}): string {
  const name = `${path}.weight`;
  const isMatrix = graph.shape(name).length === 2;
  const kernel = isMatrix ? [1, 1] : [graph.size(name, 2), graph.size(name, 3)];
  const [rows, columns] = kernel.map((size) => Math.floor(size / 2)) as [number, number];
  const stride = options.stride ?? 1;
  const bias = graph.has(`${path}.bias`) ? [useWeight(graph, `${path}.bias`, reach)] : [];
  const weight = useWeight(graph, name, reach);
  return graph.op("Conv", [x, isMatrix ? graph.op("Unsqueeze", [weight, graph.integers([2, 3])]) : weight, ...bias], {
    kernel_shape: kernel,
    pads: options.pads ?? [rows, columns, rows, columns],
    strides: [stride, stride],
  });
}

/**
 * Group normalization over [B, C, h, w] in 32 groups (arXiv:1803.08494), spelled with InstanceNormalization over the groups:
 * TensorRT refuses opset 21's own operator. It takes no bf16 either, so that the statistics of bf16 networks are fp32.
 */
export function groupNorm(graph: GraphBuilder, x: string, path: string, epsilon: number, reach: Reach): string {
  const { computeDtype } = graph.target;
  const dtype = computeDtype === "BF16" ? "F32" : computeDtype;
  const ones = graph.cast(graph.floats(Array<number>(GROUPS).fill(1), [GROUPS]), "F32", dtype);
  const zeros = graph.cast(graph.floats(Array<number>(GROUPS).fill(0), [GROUPS]), "F32", dtype);
  const groups = graph.cast(graph.op("Reshape", [x, graph.integers([0, GROUPS, -1])]), computeDtype, dtype);
  const statistics = graph.op("InstanceNormalization", [groups, ones, zeros], { epsilon: { float: epsilon } });
  const normalized = graph.cast(statistics, dtype, computeDtype);
  const restored = graph.op("Reshape", [normalized, graph.op("Shape", [x])]);
  const scaled = graph.op("Mul", [restored, perChannel(graph, `${path}.weight`, reach)]);
  return graph.op("Add", [scaled, perChannel(graph, `${path}.bias`, reach)]);
}

/** A weight [C] as [C, 1, 1]. */
function perChannel(graph: GraphBuilder, name: string, reach: Reach): string {
  return graph.op("Unsqueeze", [useWeight(graph, name, reach), graph.integers([1, 2])]);
}

/** Layer normalization over the last axis, epsilon 1e-5. */
export function layerNorm(graph: GraphBuilder, x: string, path: string, reach: Reach): string {
  const inputs = [x, useWeight(graph, `${path}.weight`, reach), useWeight(graph, `${path}.bias`, reach)];
  return graph.op("LayerNormalization", inputs, { axis: -1, epsilon: { float: 1e-5 } });
}

/** x · sigmoid(x). */
export function silu(graph: GraphBuilder, x: string): string {
  return graph.op("Mul", [x, graph.op("Sigmoid", [x])]);
}

/**
 * Twice the height and width, each pixel repeated; or exactly the size of `like`, where that is one less. TensorRT resizes no bf16: a copy
 * in fp32 holds the same numbers.
 */
export function upsampleNearest(graph: GraphBuilder, x: string, like?: string): string {
  const { computeDtype } = graph.target;
  const dtype = computeDtype === "BF16" ? "F32" : computeDtype;
  const attributes = { mode: "nearest", nearest_mode: "floor", coordinate_transformation_mode: "asymmetric" };
  const size = like === undefined ? [graph.floats([1, 1, 2, 2], [4])] : ["", sizeLike(graph, x, like)];
  return graph.cast(graph.op("Resize", [graph.cast(x, computeDtype, dtype), "", ...size], attributes), dtype, computeDtype);
}

/** The batch and channels of `x` with the height and width of `like`. */
function sizeLike(graph: GraphBuilder, x: string, like: string): string {
  const channels = graph.op("Shape", [x], { start: 0, end: 2 });
  return graph.op("Concat", [channels, graph.op("Shape", [like], { start: 2, end: 4 })], { axis: 0 });
}

/** [B, C, h, w] -> [B, h·w, C]. */
export function toSequence(graph: GraphBuilder, x: string, channels: number): string {
  return graph.op("Transpose", [graph.op("Reshape", [x, graph.integers([0, channels, -1])])], { perm: [0, 2, 1] });
}

/** [B, h·w, C] -> the shape [B, C, h, w] of `like`. */
export function toImage(graph: GraphBuilder, x: string, like: string): string {
  return graph.op("Reshape", [graph.op("Transpose", [x], { perm: [0, 2, 1] }), graph.op("Shape", [like])]);
}
