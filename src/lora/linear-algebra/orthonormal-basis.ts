import type { DenseMatrix, MatrixProducts } from "./matrix-products.ts";

/** A column of which less than this part of its square is left is in the span of those before it. */
const DEPENDENT = 1e-14;

/**
 * An orthonormal basis of a tall matrix's columns, by two passes of Cholesky QR in double precision (Yamamoto and others, "Roundoff error
 * analysis of the CholeskyQR2 algorithm", ETNA 44, 2015): nearly all of the work is matrix products. A column that depends on those
 * before it becomes zero.
 */
export async function orthonormalBasis(products: MatrixProducts, columns: DenseMatrix): Promise<DenseMatrix> {
  let basis: DenseMatrix<Float64Array> = { ...columns, values: Float64Array.from(columns.values) };
  for (let pass = 0; pass < 2; pass++) {
    const gram = await products.multiply(basis, basis, "left");
    const inverse = { rows: gram.rows, columns: gram.rows, values: inverseOfR(gram.values, gram.rows) };
    basis = await products.multiply(basis, inverse);
  }
  return { ...basis, values: Float32Array.from(basis.values) };
}

/** R⁻¹ of the Gram matrix AᵀA = RᵀR [n, n], row-major; columns of dependent vectors are zero. */
function inverseOfR(gram: Float64Array, n: number): Float64Array {
  const r = new Float64Array(n * n);
  const isDependent = new Uint8Array(n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = gram[j * n + i]!;
      for (let k = 0; k < j; k++) sum -= r[k * n + j]! * r[k * n + i]!;
      if (j < i) r[j * n + i] = isDependent[j] === 1 ? 0 : sum / r[j * n + j]!;
      else if (sum <= DEPENDENT * gram[i * n + i]!) isDependent[i] = 1;
      else r[i * n + i] = Math.sqrt(sum);
    }
  }
  const inverse = new Float64Array(n * n);
  for (let column = 0; column < n; column++) {
    if (isDependent[column] === 1) continue;
    for (let row = column; row >= 0; row--) {
      if (isDependent[row] === 1) continue;
      let sum = row === column ? 1 : 0;
      for (let k = row + 1; k <= column; k++) sum -= r[row * n + k]! * inverse[k * n + column]!;
      inverse[row * n + column] = sum / r[row * n + row]!;
    }
  }
  return inverse;
}
