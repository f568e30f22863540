/** A dense tensor in row-major order, as networks take and return it. */
export interface Tensor<Data extends Float32Array | Int32Array = Float32Array> {
  readonly dims: readonly number[];
  readonly data: Data;
}

export function elementCount(dims: readonly number[]): number {
  return dims.reduce((product, size) => product * size, 1);
}
