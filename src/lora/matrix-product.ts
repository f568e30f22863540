import type { Factor } from "./factors.ts";
import type { LinearArithmetic, MergeJob } from "./merge.ts";

/** A matrix, row-major. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float32Array;
}

/** Products of matrices on the merge's own arithmetic, which uses all cores. */
export class MatrixProduct {
  readonly #arithmetic: LinearArithmetic;
  /** What products are added to; never written to, so that its pages are not there. */
  #zeros = new Float32Array(0);

  constructor(arithmetic: LinearArithmetic) {
    this.#arithmetic = arithmetic;
  }

  /** left [n, k] · right [k, m]. */
  async multiply(left: Matrix, right: Matrix): Promise<Matrix> {
    const [product] = await this.multiplyAll([[left, right]]);
    return product!;
  }

  /** Several products at once. */
  async multiplyAll(pairs: readonly (readonly [Matrix, Matrix])[]): Promise<Matrix[]> {
    const jobs = pairs.map(([left, right]): MergeJob => {
      const [rows, columns] = [left.rows, right.columns];
      const change = { kind: "lowRank", rank: left.columns, up: left.values, down: right.values } as const;
      return {
        base: this.#zerosOf(rows * columns),
        rows,
        columns,
        terms: [{ change, scale: 1 }],
        out: new Float32Array(rows * columns),
      };
    });
    await this.#arithmetic.merge(jobs);
    return jobs.map(({ rows, columns, out }) => ({ rows, columns, values: out }));
  }

  /** Gives back what is kept between products. */
  release(): void {
    this.#zeros = new Float32Array(0);
  }

  #zerosOf(count: number): Float32Array {
    if (this.#zeros.length < count) this.#zeros = new Float32Array(count);
    return this.#zeros.subarray(0, count);
  }
}

/** A factor as the matrix of its first axis and all others. */
export function asMatrix({ shape, values }: Factor): Matrix {
  const rows = shape[0] ?? 1;
  return { rows, columns: rows === 0 ? 0 : values.length / rows, values };
}

export function transpose({ rows, columns, values }: Matrix): Matrix {
  const turned = new Float32Array(values.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) turned[column * rows + row] = values[row * columns + column]!;
  return { rows: columns, columns: rows, values: turned };
}
