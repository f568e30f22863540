import { UserError } from "../../formats/errors.ts";
import {
  isOnnxDtype,
  ONNX_DATA_TYPE,
  type OnnxAttribute,
  type OnnxDtype,
  type OnnxNode,
  type OnnxTensor,
  type OnnxValue,
} from "../../formats/onnx.ts";
import { isNumericDtype } from "../../formats/numbers.ts";
import type { Weight, WeightTable } from "../checkpoint.ts";
import type { EmittedGraph, GraphWeight } from "./emitted.ts";
import type { GraphTarget } from "./target.ts";

type Attributes = Readonly<Record<string, OnnxAttribute>>;

/** Collects the nodes of one graph. Values are known by their names; every method that adds a node returns its output's. */
export class GraphBuilder {
  readonly target: GraphTarget;
  readonly #name: string;
  readonly #table: WeightTable;
  readonly #paths: ReadonlySet<string>;
  readonly #nodes: OnnxNode[] = [];
  readonly #constants = new Map<string, OnnxTensor>();
  readonly #inputs: OnnxValue[] = [];
  readonly #outputs: OnnxValue[] = [];
  readonly #weights = new Map<string, GraphWeight>();
  readonly #casts = new Map<string, string>();

  constructor(name: string, table: WeightTable, target: GraphTarget) {
    this.#name = name;
    this.#table = table;
    this.#paths = modulePaths(table.keys());
    this.target = target;
  }

  has(weight: string): boolean {
    return this.#table.has(weight);
  }

  /** Whether any weight stands under this module, as "a.b.0" does for "a.b" and "a". */
  hasModule(path: string): boolean {
    return this.#paths.has(path);
  }

  /** Throws checkpoint.incomplete where the checkpoint lacks the weight. */
  shape(weight: string): readonly number[] {
    return this.#entry(weight).shape;
  }

  /** One axis of a weight's shape; `axis` must exist. */
  size(weight: string, axis: number): number {
    const size = this.shape(weight)[axis];
    if (size === undefined) {
      const shape = this.shape(weight).join("×");
      throw new UserError("checkpoint.unsupported", `The weight "${weight}" has the shape [${shape}]; it needs at least ${axis + 1} axes.`);
    }
    return size;
  }

  input(name: string, dtype: OnnxDtype, shape: readonly (number | string)[]): string {
    this.#inputs.push({ name, dtype, shape });
    return name;
  }

  output(name: string, value: string, shape: readonly (number | string)[]): void {
    this.#add("Identity", "", [value], [name], {});
    this.#outputs.push({ name, dtype: this.target.computeDtype, shape });
  }

  op(operator: string, inputs: readonly string[], attributes: Attributes = {}): string {
    const output = this.#nextName(operator);
    this.#add(operator, "", inputs, [output], attributes);
    return output;
  }

  /** An operator of ONNX Runtime's own set, for targets that are it. */
  contribOp(operator: string, inputs: readonly string[], attributes: Attributes): string {
    const output = this.#nextName(operator);
    this.#add(operator, "com.microsoft", inputs, [output], attributes);
    return output;
  }

  /** Splits an axis into equal parts. */
  split(value: string, parts: number, axis: number): string[] {
    const base = this.#nextName("Split");
    const outputs = Array.from({ length: parts }, (_, part) => `${base}_${part}`);
    this.#add("Split", "", [value], outputs, { axis, num_outputs: parts });
    return outputs;
  }

  /** int64 constants, as shapes and axes are; equal ones are one initializer. */
  integers(values: readonly number[]): string {
    return this.#constant("I64", [values.length], new BigInt64Array(values.map(BigInt)));
  }

  integer(value: number): string {
    return this.#constant("I64", [], new BigInt64Array([BigInt(value)]));
  }

  /** float32 constants of the given shape. */
  floats(values: readonly number[], shape: readonly number[]): string {
    return this.#constant("F32", shape, new Float32Array(values));
  }

  /** Constants in the type the network computes in. */
  computeFloats(values: readonly number[], shape: readonly number[]): string {
    return this.cast(this.floats(values, shape), "F32", this.target.computeDtype);
  }

  cast(value: string, from: OnnxDtype, to: OnnxDtype): string {
    if (from === to) return value;
    const key = `${value} as ${to}`;
    const known = this.#casts.get(key);
    if (known !== undefined) return known;
    const result = this.op("Cast", [value], { to: ONNX_DATA_TYPE[to] });
    this.#casts.set(key, result);
    return result;
  }

  /** A weight that no LoRA changes, in the type the network computes in. */
  weight(name: string): string {
    return this.#useWeight(name, false);
  }

  /** A weight that a LoRA can reach: the engine must be able to replace it. */
  refittableWeight(name: string): string {
    return this.#useWeight(name, true);
  }

  finish(): EmittedGraph {
    return {
      name: this.#name,
      target: this.target,
      nodes: this.#nodes,
      constants: [...this.#constants.values()],
      inputs: this.#inputs,
      outputs: this.#outputs,
      weights: this.#weights,
      refittable: [...this.#weights.values()].filter((weight) => weight.refittable).map((weight) => weight.name),
      unused: [...this.#table.keys()].filter((name) => !this.#weights.has(name)),
    };
  }

  #useWeight(name: string, refittable: boolean): string {
    const { shape, dtype } = this.#entry(name);
    const { backend, computeDtype, weightDtype } = this.target;
    const fed = refittable && backend === "onnxruntime";
    const stored = fed ? computeDtype : weightDtype === "checkpoint" ? dtype : weightDtype;
    if (!isOnnxDtype(stored) || !isNumericDtype(dtype)) {
      throw new UserError("checkpoint.unsupported", `The weight "${name}" has the type ${dtype}; F32, F16 and BF16 are supported.`);
    }
    this.#weights.set(name, { name, shape, dtype: stored, refittable, fed });
    return this.cast(name, stored, computeDtype);
  }

  #entry(name: string): Weight {
    const entry = this.#table.get(name);
    if (!entry) throw new UserError("checkpoint.incomplete", `The checkpoint has no weight "${name}", which its ${this.#name} needs.`);
    return entry;
  }

  #constant(dtype: OnnxDtype, shape: readonly number[], values: BigInt64Array | Float32Array): string {
    const key = `${dtype} [${shape.join()}] ${values.join()}`;
    const known = this.#constants.get(key);
    if (known) return known.name;
    const name = `constant_${this.#constants.size}`;
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    this.#constants.set(key, { name, dtype, shape, data: { bytes } });
    return name;
  }

  #add(operator: string, domain: string, inputs: readonly string[], outputs: readonly string[], attributes: Attributes): void {
    this.#nodes.push({ name: `${operator}_${this.#nodes.length}`, operator, domain, inputs, outputs, attributes });
  }

  #nextName(operator: string): string {
    return `${operator}_${this.#nodes.length}_output`;
  }
}

/** Every module that holds a weight: for "a.b.weight" that is "a" and "a.b". */
function modulePaths(names: Iterable<string>): Set<string> {
  const paths = new Set<string>();
  for (const name of names) {
    for (let end = name.lastIndexOf("."); end > 0; end = name.lastIndexOf(".", end - 1)) paths.add(name.slice(0, end));
  }
  return paths;
}
