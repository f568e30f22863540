/**
 * The Frobenius norm of up·down without multiplying them: ‖U·D‖² = trace(UᵀU · DDᵀ), in rank² · (rows + columns) steps.
 * @param up [rows, rank]
 * @param down [rank, columns]
 */
export function lowRankNorm(up: Float32Array, down: Float32Array, rank: number): number {
  const left = gram(transposed(up, rank), rank);
  const right = gram(down, rank);
  let sum = 0;
  for (let i = 0; i < left.length; i++) sum += left[i]! * right[i]!;
  // What rounding leaves of a change that is zero may be below zero.
  return Math.sqrt(Math.max(sum, 0));
}

/** [rows, rank] -> [rank, rows] */
function transposed(matrix: Float32Array, rank: number): Float32Array {
  const rows = matrix.length / rank;
  const result = new Float32Array(matrix.length);
  for (let row = 0; row < rows; row++) for (let r = 0; r < rank; r++) result[r * rows + row] = matrix[row * rank + r]!;
  return result;
}

/** The products of each of the `rank` rows with each other. */
function gram(matrix: Float32Array, rank: number): Float64Array {
  const length = matrix.length / rank;
  const result = new Float64Array(rank * rank);
  for (let i = 0; i < rank; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let k = 0; k < length; k++) sum += matrix[i * length + k]! * matrix[j * length + k]!;
      result[i * rank + j] = sum;
      result[j * rank + i] = sum;
    }
  }
  return result;
}
