import { factor, sizeFrom, type Factors, type FactorShapes } from "../factors.ts";
import { asMatrix, type Matrix, type MatrixProduct } from "../matrix-product.ts";
import { matrixMisfit, type UpdateKind } from "./kind.ts";
import { alphaScale, shapesOf } from "./scale.ts";
import { coreMisfit, rebuildTucker } from "./tucker.ts";

const FIRST: readonly (readonly string[])[] = [["lokr_w1"], ["lokr_w1_a", "lokr_w1_b"]];
const SECOND: readonly (readonly string[])[] = [["lokr_w2"], ["lokr_t2", "lokr_w2_a", "lokr_w2_b"], ["lokr_w2_a", "lokr_w2_b"]];

/**
 * LoKr (LyCORIS): change = alpha / r · w1 ⊗ w2, the Kronecker product of w1 [a, c] and w2 [b, d, kernel…]; either may be a product
 * of two factors, w2 also a Tucker core with w2_a [r, b] and w2_b [r, d]. Where both are whole there is no alpha (LyCORIS takes a
 * scale of 1 whatever the file says; the one that PEFT has is put into alpha here, with r = 1).
 */
export const LOKR: UpdateKind = {
  label: "LoKr",
  required: FIRST.flatMap((first) => SECOND.map((second) => [...first, ...second])),
  multiplied: ["lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2"],
  check(shapes) {
    const short = [...shapes].find(([name, shape]) => name.startsWith("lokr_") && shape.length < 2);
    if (short) return `its ${short[0]} is not a matrix`;
    const { w1a, w1b, w2a, w2b, core } = parts(shapes);
    if (!shapes.has("lokr_w1") && w1a![1] !== w1b![0]) return `its lokr_w1_a has rank ${w1a![1]}, its lokr_w1_b rank ${w1b![0]}`;
    if (shapes.has("lokr_w2")) return undefined;
    if (core) return coreMisfit("lokr_t2", core, w2a![0]!, w2b![0]!);
    return w2a![1] === w2b![0] ? undefined : `its lokr_w2_a has rank ${w2a![1]}, its lokr_w2_b rank ${w2b![0]}`;
  },
  rank: (shapes) => (shapes.has("lokr_w2") ? undefined : shapes.get("lokr_w2_b")![0]) ?? shapes.get("lokr_w1_b")?.[0] ?? 1,
  misfit(shapes, size) {
    const [first, second] = [firstSize(shapes), secondSize(shapes)];
    const misfit = matrixMisfit(first[0] * second[0], first[1] * second[1] * second[2], size);
    return (
      misfit ?? (size.channels % first[1] === 0 ? undefined : `its lokr_w1 has ${first[1]} columns, which do not divide ${size.channels}`)
    );
  },
  inputs(shapes) {
    const [, columns, kernel] = secondSize(shapes);
    // Only a convolution's w2_b is flattened; cross-attention, which this is asked for, has none.
    return kernel === 1 ? firstSize(shapes)[1] * columns : undefined;
  },
  changedShape(shapes) {
    const [first, second] = [firstSize(shapes), secondSize(shapes)];
    return [first[0] * second[0], first[1] * second[1] * second[2]];
  },
  async change(factors, _, product) {
    const first = await whole(factors, "lokr_w1", undefined, product);
    const second = await whole(factors, "lokr_w2", factors.has("lokr_t2") ? "lokr_t2" : undefined, product);
    return kronecker(first, second, alphaScale(factors, LOKR.rank(shapesOf(factors))));
  },
};

function parts(shapes: FactorShapes) {
  const [w1a, w1b, w2a, w2b, core] = ["lokr_w1_a", "lokr_w1_b", "lokr_w2_a", "lokr_w2_b", "lokr_t2"].map((name) => shapes.get(name));
  return { w1a, w1b, w2a, w2b, core };
}

function firstSize(shapes: FactorShapes): [number, number] {
  const { w1a, w1b } = parts(shapes);
  const w1 = shapes.get("lokr_w1");
  return w1 ? [w1[0]!, sizeFrom(w1, 1)] : [w1a![0]!, sizeFrom(w1b!, 1)];
}

/** Rows, columns and, where it can be told from the columns, the kernel of w2. */
function secondSize(shapes: FactorShapes): [number, number, number] {
  const { w2a, w2b, core } = parts(shapes);
  const w2 = shapes.get("lokr_w2");
  if (w2) return [w2[0]!, w2[1]!, sizeFrom(w2, 2)];
  return core ? [w2a![1]!, w2b![1]!, sizeFrom(core, 2)] : [w2a![0]!, w2b![1]!, sizeFrom(w2b!, 2)];
}

async function whole(factors: Factors, name: string, core: string | undefined, product: MatrixProduct): Promise<Matrix> {
  const one = factors.get(name);
  if (one) return asMatrix(one);
  const [a, b] = [asMatrix(factor(factors, `${name}_a`)), asMatrix(factor(factors, `${name}_b`))];
  return core === undefined ? product.multiply(a, b) : rebuildTucker(factor(factors, core), a, b, product);
}

/** first [a, c] ⊗ second [b, d · kernel] as [a·b, c·d·kernel]. */
function kronecker(first: Matrix, second: Matrix, scale: number): Float32Array {
  const columns = first.columns * second.columns;
  const values = new Float32Array(first.rows * second.rows * columns);
  let target = 0;
  for (let a = 0; a < first.rows; a++) {
    for (let b = 0; b < second.rows; b++) {
      const row = second.values.subarray(b * second.columns, (b + 1) * second.columns);
      for (let c = 0; c < first.columns; c++) {
        const weight = first.values[a * first.columns + c]! * scale;
        for (let d = 0; d < row.length; d++) values[target++] = weight * row[d]!;
      }
    }
  }
  return values;
}
