import { addScaled, dot, vector, zeroVectors, type Vectors } from "./vectors.ts";

/**
 * The thin QR factorization of a matrix A [n, m] in double precision: A = Q·R, Q [n, k] with orthonormal columns and R [k, m] upper
 * triangular, k = min(n, m). By Householder reflections (Golub and Van Loan, Matrix Computations, 4th edition, algorithm 5.2.1), so
 * that Q is orthonormal to rounding whatever the condition of A, columns of zeros included. 2·m²·(n − m/3) operations.
 */
export class HouseholderQr {
  /** k. */
  readonly rank: number;
  /** The columns of R, of k numbers each. */
  readonly r: Vectors;
  /** Column j holds, from its element j on, the vector v of reflection j; what is above is R's. */
  readonly #reflections: Vectors;
  /** 2 / (v·v), or 0 where there is nothing to reflect. */
  readonly #factors: Float64Array;
  /** R's diagonal, whose place the reflections take. */
  readonly #diagonal: Float64Array;

  /** @param columns the columns of A; overwritten */
  constructor(columns: Vectors) {
    const { count, length } = columns;
    this.rank = Math.min(count, length);
    this.#reflections = columns;
    this.#factors = new Float64Array(this.rank);
    this.#diagonal = new Float64Array(this.rank);
    this.r = zeroVectors(count, this.rank);
    for (let j = 0; j < this.rank; j++) this.#reflect(j);
    for (let j = 0; j < count; j++) {
      const [from, to] = [vector(columns, j), vector(this.r, j)];
      const end = Math.min(j, this.rank);
      to.set(from.subarray(0, end));
      if (j < this.rank) to[j] = this.#diagonal[j]!;
    }
  }

  #reflect(j: number): void {
    const { count } = this.#reflections;
    const v = vector(this.#reflections, j);
    const norm = Math.sqrt(dot(v, v, j));
    if (norm === 0) return;
    // Away from v[j], so that nothing cancels.
    const diagonal = v[j]! > 0 ? -norm : norm;
    this.#diagonal[j] = diagonal;
    const first = v[j]! - diagonal;
    v[j] = first;
    // v·v = 2·diagonal·(diagonal − old v[j]) = −2·diagonal·first
    const factor = -1 / (diagonal * first);
    this.#factors[j] = factor;
    for (let other = j + 1; other < count; other++) {
      const column = vector(this.#reflections, other);
      addScaled(column, -factor * dot(v, column, j), v, j);
    }
  }

  /**
   * Q·B as columns.
   * @param columns the columns of B, of k numbers each
   */
  multiplyQ(columns: Vectors): Vectors {
    const { length } = this.#reflections;
    const product = zeroVectors(columns.count, length);
    for (let index = 0; index < columns.count; index++) {
      const column = vector(product, index);
      column.set(vector(columns, index));
      for (let j = this.rank - 1; j >= 0; j--) {
        const factor = this.#factors[j]!;
        if (factor === 0) continue;
        const v = vector(this.#reflections, j);
        addScaled(column, -factor * dot(v, column, j), v, j);
      }
    }
    return product;
  }
}
