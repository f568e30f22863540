import type { InferenceSession, Tensor } from "onnxruntime-node";
import { encodeModel } from "../../formats/onnx.ts";

type Runtime = typeof import("onnxruntime-node");

/** A row-major matrix in single or double precision. */
export interface DenseMatrix<Values extends Float32Array | Float64Array = Float32Array> {
  readonly rows: number;
  readonly columns: number;
  readonly values: Values;
}

/** Which of a product's matrices is transposed first. */
export type Transposition = "none" | "left" | "right";

/**
 * Products of matrices of any size on ONNX Runtime's CPU provider, on all cores. What the numbers are is what the products are computed
 * in: fp32 for a checkpoint's matrices, fp64 for the small ones of a factorization.
 */
export class MatrixProducts {
  readonly #sessions = new Map<string, Promise<InferenceSession>>();
  #runtime: Promise<Runtime> | undefined;

  async multiply<Values extends Float32Array | Float64Array>(
    left: DenseMatrix<Values>,
    right: DenseMatrix<Values>,
    transposition: Transposition = "none",
  ): Promise<DenseMatrix<Values>> {
    const rows = transposition === "left" ? left.columns : left.rows;
    const columns = transposition === "right" ? right.rows : right.columns;
    const isDouble = left.values instanceof Float64Array;
    const { Tensor: OrtTensor } = await this.#load();
    const session = await this.#session(isDouble ? "F64" : "F32", transposition);
    const toTensor = (matrix: DenseMatrix<Values>): Tensor =>
      matrix.values instanceof Float64Array
        ? new OrtTensor("float64", matrix.values, [matrix.rows, matrix.columns])
        : new OrtTensor("float32", matrix.values, [matrix.rows, matrix.columns]);
    const { product } = await session.run({ left: toTensor(left), right: toTensor(right) });
    return { rows, columns, values: product!.data as Values };
  }

  async #load(): Promise<Runtime> {
    this.#runtime ??= import("onnxruntime-node").then(({ default: runtime }) => runtime);
    return this.#runtime;
  }

  #session(dtype: "F32" | "F64", transposition: Transposition): Promise<InferenceSession> {
    const key = `${dtype} ${transposition}`;
    const known = this.#sessions.get(key);
    if (known) return known;
    const session = this.#load().then(({ InferenceSession: Session }) =>
      Session.create(encodeModel(productModel(dtype, transposition)), {
        enableMemPattern: false,
        enableCpuMemArena: false,
        // Threads that wait by spinning between short products take the cores from the one that prepares the next.
        extra: { session: { intra_op: { allow_spinning: "0" } } },
      }),
    );
    this.#sessions.set(key, session);
    return session;
  }
}

function productModel(dtype: "F32" | "F64", transposition: Transposition) {
  const attributes = { transA: transposition === "left" ? 1 : 0, transB: transposition === "right" ? 1 : 0 };
  const value = (name: string, height: string, width: string) => ({ name, dtype, shape: [height, width] });
  return {
    name: "product",
    nodes: [{ name: "product", operator: "Gemm", domain: "", inputs: ["left", "right"], outputs: ["product"], attributes }],
    initializers: [],
    inputs: [value("left", "left_rows", "left_columns"), value("right", "right_rows", "right_columns")],
    outputs: [value("product", "rows", "columns")],
    opsets: { "": 17 },
  };
}
