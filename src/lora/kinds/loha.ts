import { factor, type Factors, type FactorShapes } from "../factors.ts";
import { asMatrix, type Matrix, type MatrixProduct } from "../matrix-product.ts";
import { matrixMisfit, type UpdateKind } from "./kind.ts";
import { alphaScale } from "./scale.ts";
import { coreMisfit, rebuildTucker } from "./tucker.ts";

/**
 * LoHa (arXiv:2108.06098, LyCORIS): change = alpha / r · (w1_a · w1_b) ⊙ (w2_a · w2_b). With Tucker cores t1, t2 the w_a are [r, out] and
 * each half is core ×₁ w_a ×₂ w_b.
 */
export const LOHA: UpdateKind = {
  label: "LoHa",
  required: [["hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"]],
  optional: ["hada_t1", "hada_t2"],
  multiplied: ["hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2"],
  check(shapes) {
    if (shapes.has("hada_t1") !== shapes.has("hada_t2")) return "it has one of hada_t1 and hada_t2 only";
    for (const half of HALVES) {
      const { a, b, core } = shapesOfHalf(shapes, half);
      if (a.length !== 2 || b.length < 2) return `its ${half} factors are not matrices`;
      if (core) {
        const misfit = coreMisfit(`hada_t${half}`, core, a[0]!, b[0]!);
        if (misfit !== undefined) return misfit;
      } else if (a[1] !== b[0]) return `its hada_w${half}_a has rank ${a[1]}, its hada_w${half}_b rank ${b[0]}`;
    }
    const [first, second] = HALVES.map((half) => changedSize(shapes, half)) as [[number, number], [number, number]];
    return first.join() === second.join() ? undefined : "its two halves are of different sizes";
  },
  rank: (shapes) => shapes.get("hada_w1_b")![0]!,
  misfit: (shapes, size) => matrixMisfit(...changedSize(shapes, 1), size),
  inputs: (shapes) => shapes.get("hada_w1_b")![1],
  changedShape: (shapes) => changedSize(shapes, 1),
  async change(factors, _, product) {
    const first = await rebuildHalf(factors, 1, product);
    const second = await rebuildHalf(factors, 2, product);
    const scale = alphaScale(factors, factor(factors, "hada_w1_b").shape[0]!);
    for (let i = 0; i < first.values.length; i++) first.values[i] = first.values[i]! * second.values[i]! * scale;
    return first.values;
  },
};

const HALVES = [1, 2] as const;

function shapesOfHalf(shapes: FactorShapes, index: number) {
  return { a: shapes.get(`hada_w${index}_a`)!, b: shapes.get(`hada_w${index}_b`)!, core: shapes.get(`hada_t${index}`) };
}

/** Rows and columns of a half. */
function changedSize(shapes: FactorShapes, index: number): [number, number] {
  const { a, b, core } = shapesOfHalf(shapes, index);
  const columns = b.slice(1).reduce((product, size) => product * size, 1);
  return core ? [a[1]!, columns * core.slice(2).reduce((product, size) => product * size, 1)] : [a[0]!, columns];
}

function rebuildHalf(factors: Factors, index: number, product: MatrixProduct): Promise<Matrix> {
  const [a, b] = [asMatrix(factor(factors, `hada_w${index}_a`)), asMatrix(factor(factors, `hada_w${index}_b`))];
  const core = factors.get(`hada_t${index}`);
  return core ? rebuildTucker(core, a, b, product) : product.multiply(a, b);
}
