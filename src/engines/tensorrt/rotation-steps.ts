import { factor, numberFactor } from "../../lora/factors.ts";
import type { UpdateKind } from "../../lora/kinds/kind.ts";
import { BOFT, OFT, OFT_DIAGONAL, outputRotations, transposed } from "../../lora/kinds/oft.ts";
import { PEFT_BOFT, PEFT_OFT, triangleRotations } from "../../lora/kinds/peft-oft.ts";
import { atStrength, triangleSize, type Rotations } from "../../lora/kinds/rotation.ts";
import { LARGEST_CAYLEY, type CayleyOperation, type ProgramBuffer } from "./kind-program.ts";
import type { PartFactors } from "./linear-steps.ts";

/** Rotations on the GPU: [stages, blocks, size, size], each stage turning the numbers along one axis in blocks. */
export interface Turning {
  readonly axis: "rows" | "columns";
  readonly rotations: ProgramBuffer;
  readonly stages: number;
  readonly count: number;
  readonly size: number;
  /** In what order a stage takes the numbers; absent: as they are. */
  readonly order?: (stage: number) => { readonly part: number; readonly run: number };
  /** Afterwards each row times offset + scale · rows[row]. */
  readonly rescale?: { readonly rows: ProgramBuffer; readonly offset: number; readonly scale: number };
}

/** How a kind turns a weight; undefined for a kind that does not. The formulas are in src/lora/kinds. */
export function turningOf(kind: UpdateKind, part: PartFactors, strength: number): Turning | undefined {
  return TURNINGS.get(kind)?.(part, strength);
}

const TURNINGS: ReadonlyMap<UpdateKind, (part: PartFactors, strength: number) => Turning> = new Map([
  [OFT, outputTurning],
  [OFT_DIAGONAL, diagonalTurning],
  [BOFT, butterflyTurning],
  [PEFT_OFT, inputTurning],
  [PEFT_BOFT, inputButterflyTurning],
]);

/** Rows become Rᵀ · rows: the transpose is the transform of −Q. */
function outputTurning(part: PartFactors, strength: number): Turning {
  const [count, size] = part.shape("oft_blocks") as [number, number];
  const rotations =
    size > LARGEST_CAYLEY
      ? onHost(part, outputRotations(part.factors, heightOf(part)), strength, true)
      : part.builder.cayley({ ...outputCayley(part, strength), count, size, factor: 1 });
  return { axis: "rows", rotations, stages: 1, count, size, ...rescaleOf(part) };
}

function diagonalTurning(part: PartFactors, strength: number): Turning {
  const { shape, values } = factor(part.factors, "oft_diag");
  const [count, size] = shape as [number, number];
  const rotations = onHost(part, { count, size, values: Float64Array.from(values) }, strength, true);
  return { axis: "rows", rotations, stages: 1, count, size, ...rescaleOf(part) };
}

/** Unlike OFT's, LyCORIS' butterfly takes the rotations as they are. */
function butterflyTurning(part: PartFactors, strength: number): Turning {
  const [stages, count, size] = part.shape("oft_blocks") as [number, number, number];
  const rotations =
    size > LARGEST_CAYLEY
      ? onHost(part, outputRotations(part.factors, heightOf(part)), strength, false)
      : part.builder.cayley({ ...outputCayley(part, strength), count: stages * count, size, factor: -1 });
  const order = (stage: number) => ({ part: 2 ** stage * size, run: 1 });
  return { axis: "rows", rotations, stages, count, size, order, ...rescaleOf(part) };
}

function inputTurning(part: PartFactors, strength: number): Turning {
  const [count, elements] = part.shape("oft_R") as [number, number];
  const size = triangleSize(elements)!;
  const isSeries = (numberFactor(part.factors, "cayley_neumann_terms") ?? 0) > 0;
  const eps = numberFactor(part.factors, "coft_eps");
  const limit = eps === undefined ? {} : { limit: { of: "each", largest: eps / Math.sqrt(count) } as const };
  const rotations =
    isSeries || size > LARGEST_CAYLEY
      ? onHost(part, triangleRotations(part.factors), strength, false)
      : part.builder.cayley({ from: part.buffer("oft_R"), count, size, isTriangle: true, ...limit, factor: 1, strength });
  return { axis: "columns", rotations, stages: 1, count, size };
}

function inputButterflyTurning(part: PartFactors, strength: number): Turning {
  const [stages, count, size] = part.shape("boft_R") as [number, number, number];
  const from = part.buffer("boft_R");
  const rotations = part.builder.cayley({ from, count: stages * count, size, isTriangle: false, factor: 0.5, strength });
  const rescale = { rows: part.buffer("boft_s"), offset: 1 - strength, scale: strength };
  const turning = { axis: "columns", rotations, stages, count, size, rescale } as const;
  return stages === 1 ? turning : { ...turning, order: (stage) => ({ part: size * 2 ** stage, run: size / 2 }) };
}

function outputCayley(part: PartFactors, strength: number): Pick<CayleyOperation, "from" | "isTriangle" | "limit" | "strength"> {
  const largest = (numberFactor(part.factors, "alpha") ?? 0) * heightOf(part);
  return { from: part.buffer("oft_blocks"), isTriangle: false, ...(largest > 0 && { limit: { of: "all", largest } }), strength };
}

/** Rotations that are made on the host: the first LyCORIS files have them ready, PEFT's power series is rare. */
function onHost({ builder }: PartFactors, rotations: Rotations, strength: number, isTransposed: boolean): ProgramBuffer {
  const { values, size } = atStrength(rotations, strength);
  return builder.factor({ data: Float32Array.from(isTransposed ? transposed(values, size) : values), dtype: "F32" });
}

function heightOf({ rows }: PartFactors): number {
  return rows.end - rows.start;
}

function rescaleOf(part: PartFactors): Pick<Turning, "rescale"> {
  return part.factors.has("rescale") ? { rescale: { rows: part.buffer("rescale"), offset: 0, scale: 1 } } : {};
}
