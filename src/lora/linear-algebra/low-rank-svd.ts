import { HouseholderQr } from "./householder-qr.ts";
import { jacobiSvd, type Svd } from "./jacobi-svd.ts";
import { columnsOf, dot, rowsOf, sumOfSquares, vector, zeroVectors, type Vectors } from "./vectors.ts";

/** The factors of a LoRA, row-major: up [rows, rank] · down [rank, columns]. */
export interface LowRankProduct {
  readonly up: Float32Array;
  readonly down: Float32Array;
  readonly rank: number;
}

/**
 * The singular values of up·down, in falling order, without multiplying them: those of R_up·R_downᵀ, where up = Q_up·R_up and
 * downᵀ = Q_down·R_down. In double precision; 2·rank²·(rows + columns) operations and those of a rank × rank decomposition.
 * Gives min(rank, rows, columns) of them, in the units of the change at scale 1. A factor with NaN or infinite values gives NaN.
 */
export function lowRankSingularValues(product: LowRankProduct): Float64Array {
  return jacobiSvd(decompose(product).core).singularValues;
}

/** The square of the Frobenius norm of up·down, see `lowRankSingularValues`: that of R_up·R_downᵀ. */
export function lowRankSquare(product: LowRankProduct): number {
  return sumOfSquares(decompose(product).core.values);
}

/** The singular value decomposition of up·down, see `lowRankSingularValues`. `left` and `right` are made as far as they are asked for. */
export class LowRankSvd {
  readonly singularValues: Float64Array;
  readonly #up: HouseholderQr;
  readonly #down: HouseholderQr;
  readonly #core: Svd;

  constructor(product: LowRankProduct) {
    const { up, down, core } = decompose(product);
    this.#up = up;
    this.#down = down;
    this.#core = jacobiSvd(core);
    this.singularValues = this.#core.singularValues;
  }

  /** The first `count` left singular vectors, of as many numbers as the product has rows. */
  left(count: number): Vectors {
    return this.#up.multiplyQ(first(this.#core.left, count));
  }

  /** The first `count` right singular vectors, of as many numbers as the product has columns. */
  right(count: number): Vectors {
    return this.#down.multiplyQ(first(this.#core.right, count));
  }
}

interface Decomposed {
  readonly up: HouseholderQr;
  readonly down: HouseholderQr;
  /** The columns of R_up·R_downᵀ. */
  readonly core: Vectors;
}

function decompose({ up, down, rank }: LowRankProduct): Decomposed {
  const [left, right] = [new HouseholderQr(columnsOf(up, rank)), new HouseholderQr(rowsOf(down, rank))];
  return { up: left, down: right, core: multiplyTransposed(left.r, right.r) };
}

/** A·Bᵀ, of the columns of A and B. */
function multiplyTransposed(a: Vectors, b: Vectors): Vectors {
  const [rowsA, rowsB] = [columnsOf(a.values, a.length), columnsOf(b.values, b.length)];
  const product = zeroVectors(b.length, a.length);
  for (let column = 0; column < b.length; column++)
    for (let row = 0; row < a.length; row++) product.values[column * a.length + row] = dot(vector(rowsA, row), vector(rowsB, column));
  return product;
}

function first({ length, values }: Vectors, count: number): Vectors {
  return { count, length, values: values.subarray(0, count * length) };
}
