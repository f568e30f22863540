import { ONNX_DATA_TYPE, type OnnxAttribute, type OnnxDtype, type OnnxNode, type OnnxTensor } from "../../src/formats/onnx.ts";
import type { EmittedGraph } from "../../src/models/graph/emit.ts";

/** Of the names given so far: one graph may be rewritten more than once. */
let count = 0;

/** Changes an emitted graph's nodes. Their order is free afterwards: TensorRT's parser sorts them. */
export class GraphRewriter {
  readonly #graph: EmittedGraph;
  #nodes: OnnxNode[];
  readonly #constants: OnnxTensor[];

  constructor(graph: EmittedGraph) {
    this.#graph = graph;
    this.#nodes = [...graph.nodes];
    this.#constants = [...graph.constants];
  }

  nodes(operator: string): OnnxNode[] {
    return this.#nodes.filter((node) => node.operator === operator);
  }

  producer(value: string): OnnxNode {
    const node = this.#nodes.find(({ outputs }) => outputs.includes(value));
    if (!node) throw new Error(`Nothing makes "${value}".`);
    return node;
  }

  /** The one node that takes the value. */
  consumer(value: string): OnnxNode {
    const nodes = this.consumers(value);
    if (nodes.length !== 1) throw new Error(`${nodes.length} nodes take "${value}".`);
    return nodes[0]!;
  }

  consumers(value: string): OnnxNode[] {
    return this.#nodes.filter(({ inputs }) => inputs.includes(value));
  }

  op(operator: string, inputs: readonly string[], attributes: Readonly<Record<string, OnnxAttribute>> = {}, output?: string): string {
    const name = `${operator}_v${count++}`;
    this.#nodes.push({ name, operator, domain: "", inputs, outputs: [output ?? `${name}_output`], attributes });
    return output ?? `${name}_output`;
  }

  /** A node with several outputs of these names. */
  ops(operator: string, inputs: readonly string[], outputs: readonly string[], attributes: Readonly<Record<string, OnnxAttribute>>): void {
    this.#nodes.push({ name: `${operator}_v${count++}`, operator, domain: "", inputs, outputs, attributes });
  }

  cast(value: string, to: OnnxDtype, output?: string): string {
    return this.op("Cast", [value], { to: ONNX_DATA_TYPE[to] }, output);
  }

  integers(values: readonly number[]): string {
    return this.#constant("I64", [values.length], new BigInt64Array(values.map(BigInt)));
  }

  floats(values: readonly number[], shape: readonly number[] = []): string {
    return this.#constant("F32", shape, new Float32Array(values));
  }

  /** A scalar in the type the network computes in. */
  scalar(value: number): string {
    return this.cast(this.floats([value]), this.#graph.target.computeDtype);
  }

  remove(...nodes: readonly OnnxNode[]): void {
    const gone = new Set(nodes);
    this.#nodes = this.#nodes.filter((node) => !gone.has(node));
  }

  /** Makes a node take `next` where it takes `value`. */
  redirect(node: OnnxNode, value: string, next: string): void {
    const index = this.#nodes.indexOf(node);
    this.#nodes[index] = { ...node, inputs: node.inputs.map((input) => (input === value ? next : input)) };
  }

  shape(weight: string): readonly number[] {
    return this.#graph.weights.get(weight)!.shape;
  }

  isWeight(value: string): boolean {
    return this.#graph.weights.has(value);
  }

  finish(): EmittedGraph {
    return { ...this.#graph, nodes: this.#nodes, constants: this.#constants };
  }

  #constant(dtype: OnnxDtype, shape: readonly number[], values: BigInt64Array | Float32Array): string {
    const name = `constant_v${count++}`;
    this.#constants.push({ name, dtype, shape, data: { bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) } });
    return name;
  }
}
