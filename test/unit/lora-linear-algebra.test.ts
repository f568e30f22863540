import { describe, expect, test } from "vitest";
import { HouseholderQr } from "../../src/lora/linear-algebra/householder-qr.ts";
import { jacobiSvd } from "../../src/lora/linear-algebra/jacobi-svd.ts";
import { LowRankSvd, lowRankSingularValues } from "../../src/lora/linear-algebra/low-rank-svd.ts";
import { MatrixProducts, type DenseMatrix } from "../../src/lora/linear-algebra/matrix-products.ts";
import { truncatedSvd } from "../../src/lora/linear-algebra/truncated-svd.ts";
import type { TruncatedFactors } from "../../src/lora/linear-algebra/truncation.ts";
import { columnsOf, dot, sumOfSquares, vector, type Vectors } from "../../src/lora/linear-algebra/vectors.ts";
import known from "../fixtures/linear-algebra/svd.json" with { type: "json" };

/** Numbers in (-1, 1) that repeat from run to run. */
function numbers(count: number, seed: number): Float64Array {
  return new Float64Array(count).map((_, i) => Math.sin((i + 1) * 12.9898 + seed * 78.233));
}

/** How far the vectors are from being orthonormal. */
function orthogonalityError(vectors: Vectors): number {
  let largest = 0;
  for (let i = 0; i < vectors.count; i++)
    for (let j = 0; j <= i; j++) largest = Math.max(largest, Math.abs(dot(vector(vectors, i), vector(vectors, j)) - (i === j ? 1 : 0)));
  return largest;
}

/** Σ values[i] · left[i] · right[i]ᵀ, row-major. */
function rebuilt(values: Float64Array, left: Vectors, right: Vectors): Float64Array {
  const product = new Float64Array(left.length * right.length);
  for (const [index, value] of values.entries())
    for (let row = 0; row < left.length; row++)
      for (let column = 0; column < right.length; column++)
        product[row * right.length + column]! += value * vector(left, index)[row]! * vector(right, index)[column]!;
  return product;
}

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  return Array.from(a, (value, index) => Math.abs(value - b[index]!)).reduce((largest, each) => Math.max(largest, each), 0);
}

function multiplied(up: readonly number[], down: readonly number[], rank: number): Float64Array {
  const [rows, columns] = [up.length / rank, down.length / rank];
  return new Float64Array(rows * columns).map((_, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    return Array.from({ length: rank }, (__, k) => up[row * rank + k]! * down[k * columns + column]!).reduce((a, b) => a + b, 0);
  });
}

describe("singular values of a low-rank product", () => {
  test.each(known)("as numpy has them: $name", ({ up, down, rank, singularValues }) => {
    const found = lowRankSingularValues({ up: Float32Array.from(up), down: Float32Array.from(down), rank });
    const largest = singularValues[0]!;
    expect(found.length).toBe(singularValues.length);
    // numpy's own error, because it decomposes the product.
    expect(largestDifference(found, singularValues)).toBeLessThanOrEqual(largest * 2e-14);
  });

  test.each(known)("with its vectors the product again: $name", ({ up, down, rank }) => {
    const svd = new LowRankSvd({ up: Float32Array.from(up), down: Float32Array.from(down), rank });
    const count = svd.singularValues.filter((value) => value > svd.singularValues[0]! * 1e-14).length;
    const [left, right] = [svd.left(count), svd.right(count)];
    expect(orthogonalityError(left)).toBeLessThan(1e-12);
    expect(orthogonalityError(right)).toBeLessThan(1e-12);
    const again = rebuilt(svd.singularValues.subarray(0, count), left, right);
    expect(largestDifference(again, multiplied(up, down, rank))).toBeLessThanOrEqual((svd.singularValues[0] ?? 0) * 1e-13);
  });

  test("factors that are no numbers give none", () => {
    const found = lowRankSingularValues({ up: Float32Array.of(1, NaN, 2, 3), down: Float32Array.of(1, 2, 3, 4), rank: 2 });
    expect(Array.from(found)).toEqual([NaN, NaN]);
  });
});

describe("decompositions", () => {
  test.each([
    [9, 4],
    [4, 9],
    [6, 6],
    [1, 5],
    [5, 1],
  ])("of a %i × %i matrix give it again", (rows, columns) => {
    const matrix = numbers(rows * columns, rows);
    const svd = jacobiSvd(columnsOf(matrix, columns));
    expect(orthogonalityError(svd.left)).toBeLessThan(1e-14);
    expect(orthogonalityError(svd.right)).toBeLessThan(1e-14);
    expect(largestDifference(rebuilt(svd.singularValues, svd.left, svd.right), matrix)).toBeLessThan(1e-14);

    const qr = new HouseholderQr(columnsOf(matrix, columns));
    const again = qr.multiplyQ(qr.r);
    expect(largestDifference(again.values, columnsOf(matrix, columns).values)).toBeLessThan(1e-14);
  });

  test("R is upper triangular", () => {
    const { r } = new HouseholderQr(columnsOf(numbers(60, 2), 6));
    for (let column = 0; column < 6; column++)
      expect(
        vector(r, column)
          .subarray(column + 1)
          .every((value) => value === 0),
      ).toBe(true);
  });
});

describe("the best approximation of a small rank", () => {
  const products = new MatrixProducts();

  /** Σ falling singular values · orthonormal vectors, and those values. */
  async function decaying(rows: number, columns: number): Promise<{ matrix: DenseMatrix; values: number[] }> {
    const side = Math.min(rows, columns);
    const values = Array.from({ length: side }, (_, i) => 1 / (1 + i) ** 1.5);
    const [left, right] = [rows, columns].map((length) => new HouseholderQr(columnsOf(numbers(length * side, length), side)));
    const identity = columnsOf(
      new Float64Array(side * side).map((_, i) => (i % (side + 1) === 0 ? 1 : 0)),
      side,
    );
    const matrix = rebuilt(Float64Array.from(values), left!.multiplyQ(identity), right!.multiplyQ(identity));
    return { matrix: { rows, columns, values: Float32Array.from(matrix) }, values };
  }

  function dropped({ rows, columns, values }: DenseMatrix, { rank, up, down }: TruncatedFactors): number {
    let sum = 0;
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) {
        let rest = values[row * columns + column]!;
        for (let r = 0; r < rank; r++) rest -= up[row * rank + r]! * down[r * columns + column]!;
        sum += rest ** 2;
      }
    return Math.sqrt(sum);
  }

  test.each([
    ["exactly", 60, 90, 1e-6],
    ["by random directions", 150, 220, 0.01],
    ["by random directions", 260, 130, 0.01],
  ] as const)("%s (%i × %i) is found", async (_how, rows, columns, tolerance) => {
    const { matrix, values } = await decaying(rows, columns);
    const best = Math.sqrt(values.slice(12).reduce((sum, value) => sum + value ** 2, 0));
    const factors = await truncatedSvd(products, matrix, { rank: 12 });
    expect(factors.rank).toBe(12);
    const error = dropped(matrix, factors);
    expect(error).toBeGreaterThan(best * (1 - 1e-5));
    expect(error).toBeLessThan(best * (1 + tolerance));
  });

  test("to an energy takes as few as hold it, at most the rank, and the same every time", async () => {
    const { matrix, values } = await decaying(150, 220);
    const total = values.reduce((sum, value) => sum + value ** 2, 0);
    const factors = await truncatedSvd(products, matrix, { energy: 0.98 });
    const held = (count: number) => values.slice(0, count).reduce((sum, value) => sum + value ** 2, 0) / total;
    expect(held(factors.rank)).toBeGreaterThanOrEqual(0.98 - 1e-6);
    expect(held(factors.rank - 1)).toBeLessThan(0.98 + 1e-6);
    expect((await truncatedSvd(products, matrix, { energy: 0.98, rank: 2 })).rank).toBe(2);
    expect(await truncatedSvd(products, matrix, { energy: 0.98 })).toEqual(factors);
  });

  test("of a matrix that has no more rank is the matrix", async () => {
    const matrix = {
      rows: 140,
      columns: 130,
      values: Float32Array.from(multiplied([...numbers(140 * 3, 1)], [...numbers(3 * 130, 2)], 3)),
    };
    const factors = await truncatedSvd(products, matrix, { rank: 16 });
    expect(dropped(matrix, factors) / Math.sqrt(sumOfSquares(matrix.values))).toBeLessThan(1e-6);
    const zero = await truncatedSvd(products, { rows: 140, columns: 130, values: new Float32Array(140 * 130) }, { rank: 4 });
    expect([zero.rank, zero.up.every((value) => value === 0)]).toEqual([1, true]);
  });
});
