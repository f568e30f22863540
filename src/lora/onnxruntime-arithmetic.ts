import type { InferenceSession, Tensor } from "onnxruntime-node";
import { throwIfCancelled } from "../formats/errors.ts";
import { encodeModel } from "../formats/onnx.ts";
import { addDense, joinLowRank, type LinearArithmetic, type MergeJob } from "./merge.ts";

/** out = up·down + base, every size dynamic. */
const GEMM_MODEL = {
  name: "merge",
  nodes: [{ name: "merge", operator: "Gemm", domain: "", inputs: ["up", "down", "base"], outputs: ["out"], attributes: {} }],
  initializers: [],
  inputs: [
    { name: "up", dtype: "F32", shape: ["rows", "rank"] },
    { name: "down", dtype: "F32", shape: ["rank", "columns"] },
    { name: "base", dtype: "F32", shape: ["rows", "columns"] },
  ],
  outputs: [{ name: "out", dtype: "F32", shape: ["rows", "columns"] }],
  opsets: { "": 17 },
} as const;

/**
 * The merge on ONNX Runtime's CPU provider: one matrix product a weight, whatever the number of low-rank terms. A call of a session
 * costs some 15 µs, less than what a plain loop loses on even a 64×64 weight, so nothing is batched (BENCHMARKS.md).
 */
export class OnnxRuntimeArithmetic implements LinearArithmetic {
  readonly #threads: number | undefined;
  #loaded: Promise<Gemm> | undefined;

  /** @param threads absent: as many as ONNX Runtime finds right for the machine */
  constructor(threads?: number) {
    this.#threads = threads;
  }

  async merge(jobs: readonly MergeJob[], signal?: AbortSignal): Promise<void> {
    this.#loaded ??= loadGemm(this.#threads);
    const gemm = await this.#loaded;
    for (const job of jobs) {
      throwIfCancelled(signal);
      const factors = joinLowRank(job.terms, job.rows, job.columns);
      if (factors) await gemm.run(factors.up, factors.down, factors.rank, job);
      else job.out.set(job.base);
      addDense(job.terms, job.out);
    }
  }
}

class Gemm {
  readonly #session: InferenceSession;
  readonly #Tensor: typeof Tensor;

  constructor(session: InferenceSession, constructor: typeof Tensor) {
    this.#session = session;
    this.#Tensor = constructor;
  }

  async run(up: Float32Array, down: Float32Array, rank: number, { base, rows, columns, out }: MergeJob): Promise<void> {
    const matrix = (data: Float32Array, height: number, width: number) => new this.#Tensor("float32", data, [height, width]);
    const feeds = { up: matrix(up, rows, rank), down: matrix(down, rank, columns), base: matrix(base, rows, columns) };
    // Written in place: the output tensor is ours.
    await this.#session.run(feeds, { out: matrix(out, rows, columns) });
  }
}

async function loadGemm(threads: number | undefined): Promise<Gemm> {
  const { default: onnxRuntime } = await import("onnxruntime-node");
  const options: InferenceSession.SessionOptions = {
    enableMemPattern: false,
    enableCpuMemArena: false,
    // Threads that wait by spinning between hundreds of short products take the cores from the thread that prepares the next one.
    extra: { session: { intra_op: { allow_spinning: "0" } } },
    ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
  };
  const session = await onnxRuntime.InferenceSession.create(encodeModel(GEMM_MODEL), options);
  return new Gemm(session, onnxRuntime.Tensor);
}
