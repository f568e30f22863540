import type { Factor } from "../factors.ts";
import { transpose, type Matrix, type MatrixProduct } from "../matrix-product.ts";

/**
 * The weight of a Tucker core (LyCORIS, `rebuild_tucker`): out[p, q, k] = Σ core[i, j, k] · first[i, p] · second[j, q].
 * @param core [r, r', kernel…]
 * @param first [r, out]
 * @param second [r', in]
 * @returns [out, in · kernel]
 */
export async function rebuildTucker(core: Factor, first: Matrix, second: Matrix, product: MatrixProduct): Promise<Matrix> {
  return product.multiply(transpose(first), contractCore(core, second));
}

/** Σ core[i, j, k] · second[j, q] as [r, in · kernel]. */
export function contractCore(core: Factor, second: Matrix): Matrix {
  const [outer, inner] = [core.shape[0]!, core.shape[1]!];
  const kernel = core.values.length / (outer * inner);
  const columns = second.columns * kernel;
  const values = new Float32Array(outer * columns);
  for (let i = 0; i < outer; i++) {
    for (let j = 0; j < inner; j++) {
      const start = (i * inner + j) * kernel;
      for (let q = 0; q < second.columns; q++) {
        const weight = second.values[j * second.columns + q]!;
        const target = i * columns + q * kernel;
        for (let k = 0; k < kernel; k++) values[target + k]! += weight * core.values[start + k]!;
      }
    }
  }
  return { rows: outer, columns, values };
}

/** Why a core does not join factors of these ranks; undefined where it does. */
export function coreMisfit(name: string, core: readonly number[], first: number, second: number): string | undefined {
  return core.length >= 2 && core[0] === first && core[1] === second
    ? undefined
    : `its ${name} has shape [${core.join(", ")}], which does not join the ranks ${first} and ${second}`;
}
