/** The number types a network computes in or stores its weights in, in safetensors' names. */
export type FloatDtype = "F32" | "F16" | "BF16";

/**
 * For whom a graph is written.
 *
 * "onnxruntime": every weight that a LoRA can reach is a graph input of type float32 that the engine feeds at each run, and
 * attention is ONNX Runtime's own operator. "tensorrt": every weight is an initializer and only operators of opset 21 that
 * TensorRT's parser takes are used.
 */
export interface GraphTarget {
  readonly backend: "onnxruntime" | "tensorrt";
  readonly computeDtype: FloatDtype;
  /** The type initializers are stored in; "checkpoint": each in its own. Where it is not computeDtype the graph casts. */
  readonly weightDtype: FloatDtype | "checkpoint";
}

/** float32 arithmetic; the weights stay in the checkpoint as they are. */
export const ONNX_RUNTIME_TARGET: GraphTarget = { backend: "onnxruntime", computeDtype: "F32", weightDtype: "checkpoint" };

/** A strongly typed network: it computes in exactly the types that the graph names. */
export function tensorrtTarget(computeDtype: FloatDtype, weightDtype: FloatDtype = computeDtype): GraphTarget {
  return { backend: "tensorrt", computeDtype, weightDtype };
}
