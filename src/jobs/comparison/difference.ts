import type { WeightArithmetic } from "../../lora/merge.ts";
import { changeMatrix, type LayerMatrix } from "../inspection/layer-matrix.ts";

/** B − A, of which one may be absent: no change. Of two products it is one, which is not multiplied out. */
export async function differenceMatrix(
  a: LayerMatrix | undefined,
  b: LayerMatrix | undefined,
  arithmetic: WeightArithmetic,
): Promise<LayerMatrix> {
  const { rows, columns } = (a ?? b)!;
  if ((a && !a.factors) || (b && !b.factors)) return new Difference(rows, columns, a, b);
  const sides = [
    { factors: b?.factors, scale: 1 },
    { factors: a?.factors, scale: -1 },
  ];
  const terms = sides.flatMap(({ factors, scale }) => (factors ? [{ change: { kind: "lowRank" as const, ...factors }, scale }] : []));
  return (await changeMatrix({ shape: [rows, columns], terms }, arithmetic))!;
}

/** Two matrices of one size, subtracted as they are read. */
class Difference implements LayerMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly #a: LayerMatrix | undefined;
  readonly #b: LayerMatrix | undefined;

  constructor(rows: number, columns: number, a: LayerMatrix | undefined, b: LayerMatrix | undefined) {
    this.rows = rows;
    this.columns = columns;
    this.#a = a;
    this.#b = b;
  }

  readRows(begin: number, end: number): Promise<Float32Array> {
    return this.readBlock([begin, end], [0, this.columns]);
  }

  async readBlock(rows: readonly [number, number], columns: readonly [number, number]): Promise<Float32Array> {
    const [a, b] = [await this.#a?.readBlock(rows, columns), await this.#b?.readBlock(rows, columns)];
    const difference = new Float32Array((rows[1] - rows[0]) * (columns[1] - columns[0]));
    for (let i = 0; i < difference.length; i++) difference[i] = (b?.[i] ?? 0) - (a?.[i] ?? 0);
    return difference;
  }
}
