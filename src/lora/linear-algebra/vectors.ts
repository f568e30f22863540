/** Vectors of one length in double precision, one after the other: the columns of a matrix, or the rows of its transpose. */
export interface Vectors {
  readonly count: number;
  readonly length: number;
  /** count · length numbers. */
  readonly values: Float64Array;
}

export function zeroVectors(count: number, length: number): Vectors {
  return { count, length, values: new Float64Array(count * length) };
}

/** The columns of a row-major matrix of `columns` columns. */
export function columnsOf(matrix: Float32Array | Float64Array, columns: number): Vectors {
  const length = columns === 0 ? 0 : matrix.length / columns;
  const values = new Float64Array(matrix.length);
  for (let row = 0; row < length; row++)
    for (let column = 0; column < columns; column++) values[column * length + row] = matrix[row * columns + column]!;
  return { count: columns, length, values };
}

/** The rows of a row-major matrix of `rows` rows. */
export function rowsOf(matrix: Float32Array | Float64Array, rows: number): Vectors {
  return { count: rows, length: rows === 0 ? 0 : matrix.length / rows, values: Float64Array.from(matrix) };
}

/** One of the vectors, in place. */
export function vector({ length, values }: Vectors, index: number): Float64Array {
  return values.subarray(index * length, (index + 1) * length);
}

/** Σ a[i]·b[i]; four sums, so that an addition need not wait for the one before it. */
export function dot(a: Float64Array, b: Float64Array, start = 0): number {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  const end = a.length;
  let i = start;
  for (; i + 3 < end; i += 4) {
    s0 += a[i]! * b[i]!;
    s1 += a[i + 1]! * b[i + 1]!;
    s2 += a[i + 2]! * b[i + 2]!;
    s3 += a[i + 3]! * b[i + 3]!;
  }
  for (; i < end; i++) s0 += a[i]! * b[i]!;
  return s0 + s1 + (s2 + s3);
}

/** y += factor·x, from element `start` on. */
export function addScaled(y: Float64Array, factor: number, x: Float64Array, start = 0): void {
  for (let i = start; i < y.length; i++) y[i]! += factor * x[i]!;
}

/** Σ value². */
export function sumOfSquares(values: Float64Array | Float32Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! ** 2;
  return sum;
}
