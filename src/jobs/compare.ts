import { throwIfCancelled } from "../formats/errors.ts";
import type { WeightArithmetic } from "../lora/merge.ts";
import { compareMatrices, squaredNorm } from "./comparison/compare-matrices.ts";
import { ComparisonSide, isSameSize, type SideEntry } from "./comparison/side.ts";
import type { CompareResult, ComparisonTotals, LayerComparison } from "./comparison/types.ts";
import type { JobContext } from "./context.ts";
import { Inspections } from "./inspection/inspections.ts";
import type { LayerMatrix } from "./inspection/layer-matrix.ts";
import type { CompareOptions, LoraReference } from "./options.ts";
import { stageProgress } from "./timing.ts";

/** A layer's comparison with the squares that the totals are sums of. */
interface Compared {
  readonly row: LayerComparison;
  readonly squareA: number;
  readonly squareB: number;
  readonly dot: number;
  readonly squareDifference: number;
}

/**
 * Compares two LoRAs, deltas or stacks of them, weight by weight; where B is empty, A with no change at all: what a stack would
 * change. Throws what opening the files throws, and "lora.unsupported" for what is no LoRA or delta.
 */
export async function compare({ a, b, base }: CompareOptions, context: JobContext, arithmetic: WeightArithmetic): Promise<CompareResult> {
  const inspections = new Inspections(arithmetic);
  try {
    return await withEntries(inspections, [...a, ...b], base, async (entries) => {
      const sides = [new ComparisonSide(entries.slice(0, a.length)), new ComparisonSide(entries.slice(a.length))] as const;
      const compared = await compareSides(sides, entries, context, arithmetic);
      const notes = Array.from(new Set(entries.flatMap(({ inspection }) => inspection.header.notes)));
      const totals = total(compared);
      if (b.length > 0 && totals.layersInBoth === 0)
        notes.unshift("the two have no layer in common, or name their layers differently: give their base");
      return {
        a: sides[0].labels,
        b: sides[1].labels,
        ...(base !== undefined && { base }),
        layers: compared.map(({ row }) => row),
        totals,
        notes,
      };
    });
  } finally {
    await inspections.closeAll();
  }
}

/** Opens every file, one inside the other, so that all stay open until `body` is done. */
function withEntries<R>(
  inspections: Inspections,
  references: readonly LoraReference[],
  base: string | undefined,
  body: (entries: readonly SideEntry[]) => Promise<R>,
  opened: readonly SideEntry[] = [],
): Promise<R> {
  const [reference, ...rest] = references;
  if (!reference) return body(opened);
  return inspections.use({ path: reference.file, base }, (inspection) =>
    withEntries(inspections, rest, base, body, [...opened, { reference, inspection }]),
  );
}

async function compareSides(
  [a, b]: readonly [ComparisonSide, ComparisonSide],
  entries: readonly SideEntry[],
  { signal, ...context }: JobContext,
  arithmetic: WeightArithmetic,
): Promise<Compared[]> {
  const report = stageProgress(context, "comparing the layers");
  const names = Array.from(new Set([...a.names, ...b.names]));
  const base = entries.find(({ inspection }) => inspection.base?.read)?.inspection.base;
  const compared: Compared[] = [];
  for (const name of names) {
    throwIfCancelled(signal);
    const [matrixA, matrixB] = [await a.matrix(name, arithmetic, signal), await b.matrix(name, arithmetic, signal)];
    const layer = (a.layer(name) ?? b.layer(name))!;
    const numbers = await compareLayer(matrixA, matrixB, signal);
    const baseNorm = layer.weight ? await base?.norm(layer.weight.name) : undefined;
    const { component, block, role, shape } = layer;
    const [rankA, rankB] = [a.rank(name), b.rank(name)];
    const isIn = (side: ComparisonSide) => side.layer(name) !== undefined;
    const described = {
      name,
      component,
      block,
      role,
      in: isIn(a) && isIn(b) ? "both" : isIn(a) ? "a" : "b",
      ...(shape && { shape }),
      ...(rankA !== undefined && { rankA }),
      ...(rankB !== undefined && { rankB }),
    } as const;
    compared.push(
      typeof numbers === "string"
        ? { row: { ...described, reason: numbers }, squareA: 0, squareB: 0, dot: 0, squareDifference: 0 }
        : { ...numbers, row: { ...described, ...derived(numbers, described.in, baseNorm) } },
    );
    report(compared.length, names.length);
  }
  return compared;
}

type Numbers = Awaited<ReturnType<typeof compareMatrices>>;

async function compareLayer(
  a: LayerMatrix | string | undefined,
  b: LayerMatrix | string | undefined,
  signal: AbortSignal | undefined,
): Promise<Numbers | string> {
  if (typeof a === "string") return a;
  if (typeof b === "string") return b;
  if (a && b) {
    if (!isSameSize([a.rows, a.columns], [b.rows, b.columns])) {
      return `A changes a matrix of ${a.rows} × ${a.columns}, B one of ${b.rows} × ${b.columns}.`;
    }
    return compareMatrices(a, b, signal);
  }
  const [squareA, squareB] = [a ? await squaredNorm(a, signal) : 0, b ? await squaredNorm(b, signal) : 0];
  return { squareA, squareB, dot: 0, squareDifference: squareA + squareB };
}

function derived(numbers: Numbers, side: LayerComparison["in"], baseNorm: number | undefined): Partial<LayerComparison> {
  const [normA, normB, difference] = [numbers.squareA, numbers.squareB, numbers.squareDifference].map(Math.sqrt) as [
    number,
    number,
    number,
  ];
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

function total(compared: readonly Compared[]): ComparisonTotals {
  const sum = (of: (each: Compared) => number) => compared.reduce((all, each) => all + of(each), 0);
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
