import type { InferenceSession, Tensor as OrtTensor } from "onnxruntime-node";
import { UserError } from "../../formats/errors.ts";
import type { Component } from "../../models/architecture.ts";
import type { Inputs, Outputs } from "../engine.ts";
import type { BaseWeight } from "../base-weights.ts";
import { loadOnnxRuntime } from "./library.ts";

type TensorConstructor = typeof OrtTensor;

/**
 * One component in an ONNX Runtime session. Its refittable weights are graph inputs, fed at every run: a weight is changed by
 * feeding another tensor, and the session is never made again.
 */
export class Network {
  readonly component: Component;
  readonly #session: InferenceSession;
  readonly #Tensor: TensorConstructor;
  readonly #base: ReadonlyMap<string, BaseWeight>;
  readonly #baseTensors: ReadonlyMap<string, OrtTensor>;
  readonly #weights: Record<string, OrtTensor>;

  private constructor(component: Component, session: InferenceSession, base: readonly BaseWeight[], Tensor: TensorConstructor) {
    this.component = component;
    this.#session = session;
    this.#Tensor = Tensor;
    this.#base = new Map(base.map((weight) => [weight.name, weight]));
    this.#baseTensors = new Map(base.map(({ name, shape, values }) => [name, new Tensor("float32", values, shape)]));
    this.#weights = Object.fromEntries(this.#baseTensors);
  }

  /**
   * Opens a session on a component's graph.
   * @param path the ONNX file; its external data is read from the files beside it
   * @param base every refittable weight of the graph
   */
  static async create(component: Component, path: string, base: readonly BaseWeight[]): Promise<Network> {
    const { InferenceSession: Session, Tensor } = loadOnnxRuntime().runtime;
    try {
      const session = await Session.create(path, { executionProviders: ["cpu"], logSeverityLevel: 3 });
      return new Network(component, session, base, Tensor);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message.split("\n", 1)[0] : String(cause);
      throw new UserError("engine.failed", `ONNX Runtime could not load ${path}: ${reason}`, { cause });
    }
  }

  /** Names and base values of the weights that can be changed. */
  get base(): ReadonlyMap<string, BaseWeight> {
    return this.#base;
  }

  /** From the next run on, the network uses these values (in the weight's shape). */
  setWeight(name: string, values: Float32Array): void {
    this.#weights[name] = new this.#Tensor("float32", values, this.#base.get(name)!.shape);
  }

  /** From the next run on, the network uses the base's own values. */
  restoreWeight(name: string): void {
    this.#weights[name] = this.#baseTensors.get(name)!;
  }

  async run(inputs: Inputs): Promise<Outputs> {
    const feeds: Record<string, OrtTensor> = { ...this.#weights };
    for (const [name, { data, dims }] of Object.entries(inputs)) {
      feeds[name] = data instanceof Int32Array ? new this.#Tensor("int32", data, dims) : new this.#Tensor("float32", data, dims);
    }
    try {
      const results = await this.#session.run(feeds);
      return Object.fromEntries(
        Object.entries(results).map(([name, tensor]) => [name, { dims: tensor.dims, data: tensor.data as Float32Array }]),
      );
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message.split("\n", 1)[0] : String(cause);
      throw new UserError("engine.failed", `The ${this.component} failed in ONNX Runtime: ${reason}`, { cause });
    }
  }

  async release(): Promise<void> {
    await this.#session.release();
  }
}
