import type { LayerMatrix } from "../inspection/layer-matrix.ts";
import { compareMatrices, squaredNorm, type MatrixComparison } from "./compare-matrices.ts";
import { isSameSize, type ComparisonSide } from "./side.ts";
import type { ComparisonTotals, LayerComparison } from "./types.ts";

/** A layer's comparison with the squares that the totals are sums of. */
export interface ComparedLayer {
  readonly row: LayerComparison;
  readonly squareA: number;
  readonly squareB: number;
  readonly dot: number;
  readonly squareDifference: number;
}

/** What both sides make of one weight; a side that does not change it has none, but never both. */
export interface LayerPair {
  readonly a: LayerMatrix | undefined;
  readonly b: LayerMatrix | undefined;
}

/** The sides' changes as matrices of one size, or why they cannot be compared. */
export function pairOf(a: LayerMatrix | string | undefined, b: LayerMatrix | string | undefined): LayerPair | string {
  if (typeof a === "string") return a;
  if (typeof b === "string") return b;
  if (a && b && !isSameSize([a.rows, a.columns], [b.rows, b.columns])) {
    return `A changes a matrix of ${a.rows} × ${a.columns}, B one of ${b.rows} × ${b.columns}.`;
  }
  return { a, b };
}

/** @param baseNorm ‖W‖ of the base's weight, where there is one */
export async function compareLayer(
  name: string,
  [a, b]: readonly [ComparisonSide, ComparisonSide],
  pair: LayerPair | string,
  baseNorm: number | undefined,
  signal: AbortSignal | undefined,
): Promise<ComparedLayer> {
  const { component, block, role, shape } = (a.layer(name) ?? b.layer(name))!;
  const [rankA, rankB] = [a.rank(name), b.rank(name)];
  const [isInA, isInB] = [a.layer(name) !== undefined, b.layer(name) !== undefined];
  const described = {
    name,
    component,
    block,
    role,
    in: isInA && isInB ? "both" : isInA ? "a" : "b",
    ...(shape && { shape }),
    ...(rankA !== undefined && { rankA }),
    ...(rankB !== undefined && { rankB }),
  } as const;
  if (typeof pair === "string") return { row: { ...described, reason: pair }, squareA: 0, squareB: 0, dot: 0, squareDifference: 0 };
  const numbers = await comparePair(pair, signal);
  return { ...numbers, row: { ...described, ...derived(numbers, described.in, baseNorm) } };
}

async function comparePair({ a, b }: LayerPair, signal: AbortSignal | undefined): Promise<MatrixComparison> {
  if (a && b) return compareMatrices(a, b, signal);
  const [squareA, squareB] = [a ? await squaredNorm(a, signal) : 0, b ? await squaredNorm(b, signal) : 0];
  return { squareA, squareB, dot: 0, squareDifference: squareA + squareB };
}

function derived(numbers: MatrixComparison, side: LayerComparison["in"], baseNorm: number | undefined): Partial<LayerComparison> {
  const [normA, normB] = [Math.sqrt(numbers.squareA), Math.sqrt(numbers.squareB)];
  const difference = Math.sqrt(numbers.squareDifference);
  const { overlapOutputs, overlapInputs } = numbers;
  const [hasA, hasB] = [side !== "b", side !== "a"];
  return {
    ...(hasA && { normA }),
    ...(hasB && { normB }),
    ...(side === "both" && normA > 0 && { ratio: normB / normA }),
    ...(side === "both" && normA * normB > 0 && { cosine: limited(numbers.dot / (normA * normB)) }),
    difference,
    ...(baseNorm && {
      baseNorm,
      ...(hasA && { relativeA: normA / baseNorm }),
      ...(hasB && { relativeB: normB / baseNorm }),
      relativeDifference: difference / baseNorm,
    }),
    ...(overlapOutputs !== undefined && { overlapOutputs }),
    ...(overlapInputs !== undefined && { overlapInputs }),
  };
}

/** All layers as one vector. */
export function totalsOf(compared: readonly ComparedLayer[]): ComparisonTotals {
  const sum = (of: (each: ComparedLayer) => number) => compared.reduce((all, each) => all + of(each), 0);
  const count = (side: LayerComparison["in"]) => compared.filter(({ row }) => row.in === side).length;
  const normA = Math.sqrt(sum(({ squareA }) => squareA));
  const normB = Math.sqrt(sum(({ squareB }) => squareB));
  return {
    layersInBoth: count("both"),
    layersInA: count("a"),
    layersInB: count("b"),
    normA,
    normB,
    difference: Math.sqrt(sum(({ squareDifference }) => squareDifference)),
    ...(normA * normB > 0 && { cosine: limited(sum(({ dot }) => dot) / (normA * normB)), ratio: normB / normA }),
  };
}

/** What rounding puts beyond −1 and 1 is brought back. */
function limited(cosine: number): number {
  return Math.max(-1, Math.min(1, cosine));
}
