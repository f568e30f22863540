import type { BlockSize, Factors, FactorShapes, WeightBlock } from "../factors.ts";
import type { MatrixProduct } from "../matrix-product.ts";

/**
 * One kind of update. Its factors are known by their published names; beside them stand `alpha` and numbers like it. A kind either
 * has a `change`, which is the same whatever the weight is and linear in the strength, or `apply`, which makes the new weight of the
 * old one at a strength.
 */
export interface UpdateKind {
  /** As reports name it: "LoHa". */
  readonly label: string;
  /** Names of the factors that must be there, or of the sets of them that may stand for one another. */
  readonly required: readonly (readonly string[])[];
  readonly optional?: readonly string[];
  /** Factors without which there is no change: where all numbers of one are zero, the update changes nothing. */
  readonly multiplied: readonly string[];
  /** Why factors of these shapes do not fit together; undefined where they do. */
  check(shapes: FactorShapes): string | undefined;
  /** The number that alpha is divided by; 0 where the kind has no such scale. */
  rank(shapes: FactorShapes): number;
  /** What a weight must be to be changed, in words, where it is not; undefined where it fits. */
  misfit(shapes: FactorShapes, size: BlockSize): string | undefined;
  /** Width of the input of the module that is changed, where the factors tell. */
  inputs?(shapes: FactorShapes): number | undefined;
  /** The shape of the weight that is changed, as a matrix at least; absent where the factors do not tell. */
  changedShape?(shapes: FactorShapes): readonly number[];
  /** The change at strength 1, alpha included. */
  change?(factors: Factors, size: BlockSize, product: MatrixProduct): Promise<Float32Array>;
  /** Changes the block's values in place. */
  apply?(factors: Factors, block: WeightBlock, strength: number, product: MatrixProduct): Promise<void>;
}

/** Of several sets of factors, the one that is all there. */
export function completeSet(sets: readonly (readonly string[])[], shapes: FactorShapes): readonly string[] | undefined {
  return sets.find((names) => names.every((name) => shapes.has(name)));
}

export function shapeText(shape: readonly number[]): string {
  return `[${shape.join(", ")}]`;
}

/** Why a change of rows × columns does not fit; a 1×1 convolution and a linear layer are the same matrix. */
export function matrixMisfit(rows: number, columns: number, size: BlockSize): string | undefined {
  const found = size.channels * size.kernel;
  return rows === size.rows && columns === found
    ? undefined
    : `it changes a matrix of ${rows} × ${columns}, here it is one of ${size.rows} × ${found}`;
}
