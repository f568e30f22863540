import { factor, sizeFrom, type Factors } from "../../lora/factors.ts";
import { DIFFERENCE } from "../../lora/kinds/difference.ts";
import type { UpdateKind } from "../../lora/kinds/kind.ts";
import { LOHA } from "../../lora/kinds/loha.ts";
import { LOKR } from "../../lora/kinds/lokr.ts";
import { LORA, TUCKER_LORA } from "../../lora/kinds/lora.ts";
import { alphaScale, shapesOf } from "../../lora/kinds/scale.ts";
import type { MatrixView, ProgramBuffer, ProgramBuilder, ProgramStep, RowRange } from "./kind-program.ts";
import { numbersOf } from "./native-numbers.ts";

/** A part of a change, its factors on the GPU. */
export class PartFactors {
  readonly factors: Factors;
  readonly rows: RowRange;
  readonly builder: ProgramBuilder;
  readonly #buffers = new Map<string, ProgramBuffer>();

  constructor(builder: ProgramBuilder, factors: Factors, rows: RowRange) {
    this.builder = builder;
    this.factors = factors;
    this.rows = rows;
  }

  shape(name: string): readonly number[] {
    return factor(this.factors, name).shape;
  }

  /** A factor's numbers, which travel once however often they are used. */
  buffer(name: string): ProgramBuffer {
    const known = this.#buffers.get(name);
    if (known) return known;
    const buffer = this.builder.factor(numbersOf(factor(this.factors, name)));
    this.#buffers.set(name, buffer);
    return buffer;
  }

  /** A factor as the matrix of its first axis and all others. */
  matrix(name: string): SizedView {
    const shape = this.shape(name);
    const columns = sizeFrom(shape, 1);
    return { buffer: this.buffer(name), rows: shape[0] ?? 1, columns, rowStep: columns, columnStep: 1 };
  }
}

export interface SizedView extends MatrixView {
  readonly rows: number;
  readonly columns: number;
}

/** The step that adds `weight` times the change of a kind whose change is the same whatever the weight is. */
export function linearStep(kind: UpdateKind, part: PartFactors, weight: number): ProgramStep {
  const step = LINEAR.get(kind);
  if (!step) throw new Error(`${kind.label} has no change of its own.`);
  return step(part, weight);
}

const LINEAR: ReadonlyMap<UpdateKind, (part: PartFactors, weight: number) => ProgramStep> = new Map([
  [LORA, loraStep],
  [TUCKER_LORA, tuckerLoraStep],
  [LOHA, lohaStep],
  [LOKR, lokrStep],
  [DIFFERENCE, differenceStep],
]);

function loraStep(part: PartFactors, weight: number): ProgramStep {
  const down = part.matrix("lora_down");
  const scale = weight * alphaScale(part.factors, down.rows);
  return { kind: "lowRank", rows: part.rows, scale, depth: down.rows, a: part.matrix("lora_up"), b: down };
}

function tuckerLoraStep(part: PartFactors, weight: number): ProgramStep {
  const scale = weight * alphaScale(part.factors, part.shape("lora_down")[0]!);
  const down = contractCore(part, "lora_mid", "lora_down");
  return { kind: "lowRank", rows: part.rows, scale, depth: down.rows, a: part.matrix("lora_up"), b: down };
}

function lohaStep(part: PartFactors, weight: number): ProgramStep {
  const scale = weight * alphaScale(part.factors, part.shape("hada_w1_b")[0]!);
  const [first, second] = [1, 2].map((half): { a: MatrixView; b: SizedView } => {
    const [a, b, core] = [part.matrix(`hada_w${half}_a`), `hada_w${half}_b`, `hada_t${half}`];
    return part.factors.has(core) ? { a: transposed(a), b: contractCore(part, core, b) } : { a, b: part.matrix(b) };
  }) as [{ a: MatrixView; b: SizedView }, { a: MatrixView; b: SizedView }];
  const depths = { depth: first.b.rows, secondDepth: second.b.rows };
  return { kind: "hadamard", rows: part.rows, scale, ...depths, a: first.a, b: first.b, c: second.a, d: second.b };
}

function lokrStep(part: PartFactors, weight: number): ProgramStep {
  const scale = weight * alphaScale(part.factors, LOKR.rank(shapesOf(part.factors)));
  const [a, b] = [wholeFactor(part, "lokr_w1"), wholeFactor(part, "lokr_w2")];
  return { kind: "kronecker", rows: part.rows, scale, blockRows: b.rows, blockColumns: b.columns, a, b };
}

function differenceStep(part: PartFactors, weight: number): ProgramStep {
  return { kind: "add", rows: part.rows, scale: weight, a: part.matrix("diff") };
}

/** One of LoKr's two matrices, multiplied out where the file has it as factors. */
function wholeFactor(part: PartFactors, name: "lokr_w1" | "lokr_w2"): SizedView {
  if (part.factors.has(name)) return part.matrix(name);
  const hasCore = name === "lokr_w2" && part.factors.has("lokr_t2");
  const a = part.matrix(`${name}_a`);
  if (hasCore) return multiply(part.builder, transposed(a), contractCore(part, "lokr_t2", `${name}_b`));
  return multiply(part.builder, a, part.matrix(`${name}_b`));
}

/** left · right in scratch memory. */
export function multiply(builder: ProgramBuilder, left: SizedView, right: SizedView): SizedView {
  const [rows, columns] = [left.rows, right.columns];
  const out = { buffer: builder.scratch(rows * columns), rows, columns, rowStep: columns, columnStep: 1 };
  builder.product({ rows, columns, depth: right.rows, left, right, out });
  return out;
}

function transposed({ buffer, rows, columns, rowStep, columnStep }: SizedView): SizedView {
  return { buffer, rows: columns, columns: rows, rowStep: columnStep, columnStep: rowStep };
}

/** A Tucker core [i, j, kernel…] with its second factor [j, q]: Σ core[i, j, k] · second[j, q] as [i, q · kernel]; a product for each k. */
function contractCore(part: PartFactors, coreName: string, secondName: string): SizedView {
  const [rows, depth, ...kernelSizes] = part.shape(coreName) as [number, number, ...number[]];
  const kernel = kernelSizes.reduce((product, size) => product * size, 1);
  const second = part.matrix(secondName);
  const columns = second.columns * kernel;
  const buffer = part.builder.scratch(rows * columns);
  part.builder.product({
    rows,
    columns: second.columns,
    depth,
    batches: { count: kernel, left: 1, right: 0, out: 1 },
    left: { buffer: part.buffer(coreName), rowStep: depth * kernel, columnStep: kernel },
    right: second,
    out: { buffer, rowStep: columns, columnStep: kernel },
  });
  return { buffer, rows, columns, rowStep: columns, columnStep: 1 };
}
