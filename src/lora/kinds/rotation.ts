import type { Factor } from "../factors.ts";

/** Square matrices of one size, row-major, one after the other, in fp64: they are small, and errors of an inverse grow. */
export interface Rotations {
  readonly count: number;
  readonly size: number;
  readonly values: Float64Array;
}

/** blocks − blocksᵀ times `scale`, each block [size, size]. */
export function skewBlocks(values: Float32Array, count: number, size: number, scale: number): Float64Array {
  const skew = new Float64Array(values.length);
  for (let block = 0; block < count; block++) {
    const start = block * size * size;
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) skew[start + i * size + j] = scale * (values[start + i * size + j]! - values[start + j * size + i]!);
    }
  }
  return skew;
}

/** Each row of a factor [blocks, size·(size − 1)/2] is the part above the diagonal of a skew-symmetric block (PEFT). */
export function skewFromTriangles({ shape, values }: Factor): { skew: Float64Array; count: number; size: number } {
  const [count, elements] = [shape[0]!, shape[1]!];
  const size = triangleSize(elements)!;
  const skew = new Float64Array(count * size * size);
  for (let block = 0; block < count; block++) {
    let next = block * elements;
    for (let i = 0; i < size; i++) {
      for (let j = i + 1; j < size; j++) {
        const value = values[next++]!;
        skew[(block * size + i) * size + j] = value;
        skew[(block * size + j) * size + i] = -value;
      }
    }
  }
  return { skew, count, size };
}

/** The size whose triangle above the diagonal has so many elements; undefined where there is none. */
export function triangleSize(elements: number): number | undefined {
  const size = (1 + Math.sqrt(1 + 8 * elements)) / 2;
  return Number.isInteger(size) ? size : undefined;
}

/** Cayley's transform (I + Q)·(I − Q)⁻¹ of each skew-symmetric block: a rotation. */
export function cayley(skew: Float64Array, count: number, size: number): Rotations {
  const values = new Float64Array(skew.length);
  for (let block = 0; block < count; block++) {
    const start = block * size * size;
    const q = skew.subarray(start, start + size * size);
    // (I + Q)·(I − Q)⁻¹ = (I − Q)⁻¹·(I + Q): they are power series in Q.
    const left = Float64Array.from(q, (value, index) => (index % (size + 1) === 0 ? 1 : 0) - value);
    const right = Float64Array.from(q, (value, index) => (index % (size + 1) === 0 ? 1 : 0) + value);
    values.set(solve(left, right, size), start);
  }
  return { count, size, values };
}

/**
 * PEFT's approximation of the transform: the sum of a power series' first terms, of which the last is not doubled
 * (`_cayley_batch`, use_cayley_neumann).
 */
export function cayleyNeumann(skew: Float64Array, count: number, size: number, terms: number): Rotations {
  const values = new Float64Array(skew.length);
  for (let block = 0; block < count; block++) {
    const start = block * size * size;
    const q = skew.subarray(start, start + size * size);
    const sum = Float64Array.from(q, (value, index) => (index % (size + 1) === 0 ? 1 : 0) + (terms > 1 ? 2 * value : 0));
    if (terms > 2) {
      let power = square(q, q, size);
      addScaled(sum, power, 2);
      for (let term = 3; term < terms - 1; term++) {
        power = square(power, q, size);
        addScaled(sum, power, 2);
      }
      addScaled(sum, square(power, q, size), 1);
    }
    values.set(sum, start);
  }
  return { count, size, values };
}

function square(left: Float64Array, right: Float64Array, size: number): Float64Array {
  const product = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    for (let k = 0; k < size; k++) {
      const value = left[i * size + k]!;
      for (let j = 0; j < size; j++) product[i * size + j]! += value * right[k * size + j]!;
    }
  }
  return product;
}

function addScaled(sum: Float64Array, term: Float64Array, scale: number): void {
  for (let i = 0; i < sum.length; i++) sum[i]! += scale * term[i]!;
}

/** left⁻¹ · right by elimination with row pivots; both are overwritten. */
function solve(left: Float64Array, right: Float64Array, size: number): Float64Array {
  for (let column = 0; column < size; column++) {
    let pivot = column;
    for (let row = column + 1; row < size; row++) {
      if (Math.abs(left[row * size + column]!) > Math.abs(left[pivot * size + column]!)) pivot = row;
    }
    if (pivot !== column) for (const matrix of [left, right]) swapRows(matrix, pivot, column, size);
    const inverse = 1 / left[column * size + column]!;
    for (let row = 0; row < size; row++) {
      if (row === column) continue;
      const weight = left[row * size + column]! * inverse;
      if (weight === 0) continue;
      for (let j = column; j < size; j++) left[row * size + j]! -= weight * left[column * size + j]!;
      for (let j = 0; j < size; j++) right[row * size + j]! -= weight * right[column * size + j]!;
    }
  }
  for (let row = 0; row < size; row++) {
    const inverse = 1 / left[row * size + row]!;
    for (let j = 0; j < size; j++) right[row * size + j]! *= inverse;
  }
  return right;
}

function swapRows(matrix: Float64Array, a: number, b: number, size: number): void {
  for (let j = 0; j < size; j++) {
    const kept = matrix[a * size + j]!;
    matrix[a * size + j] = matrix[b * size + j]!;
    matrix[b * size + j] = kept;
  }
}

/** The rotations at a strength: I + strength · (R − I). */
export function atStrength({ count, size, values }: Rotations, strength: number): Rotations {
  const identity = (index: number) => ((index % (size * size)) % (size + 1) === 0 ? 1 : 0);
  return { count, size, values: values.map((value, index) => identity(index) + strength * (value - identity(index))) };
}
