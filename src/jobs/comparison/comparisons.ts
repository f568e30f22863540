import { throwIfCancelled, UserError } from "../../formats/errors.ts";
import type { WeightArithmetic } from "../../lora/merge.ts";
import type { JobContext } from "../context.ts";
import type { Inspections } from "../inspection/inspections.ts";
import { heatMapTile } from "../inspection/layer-detail.ts";
import type { LayerMatrix } from "../inspection/layer-matrix.ts";
import { layerSize } from "../inspection/layers.ts";
import type { HeatMapTile, TilePlace } from "../inspection/types.ts";
import type { CompareOptions, LoraReference } from "../options.ts";
import { stageProgress } from "../timing.ts";
import { compareLayer, pairOf, totalsOf, type ComparedLayer, type LayerPair } from "./compare-layer.ts";
import { comparisonCache } from "./comparison-cache.ts";
import { comparisonDetail, shownDifference } from "./comparison-detail.ts";
import { ComparisonSide, type SideEntry } from "./side.ts";
import type { ComparisonDetail, ComparisonNumbers, OpenedComparison } from "./types.ts";

/** What is compared. */
export interface ComparisonTarget extends CompareOptions {
  /** Folder for results, by what the files hold; absent: they are not kept. */
  readonly cache?: string | undefined;
}

/** A layer of a comparison that was made; `state` is the comparison's. */
export interface ComparedLayerTarget extends ComparisonTarget {
  readonly state: string;
  readonly layer: string;
}

/** The files of a comparison, open. */
interface OpenSides {
  readonly entries: readonly SideEntry[];
  readonly sides: readonly [ComparisonSide, ComparisonSide];
  readonly state: string;
}

/** A layer that is looked into. */
interface ShownLayer {
  readonly pair: LayerPair;
  readonly difference: LayerMatrix;
}

/** Comparisons in this process; the files are those of its inspections. */
export class Comparisons {
  readonly #inspections: Inspections;
  readonly #arithmetic: WeightArithmetic;
  /** The layer that is looked at, for its next tile. */
  #shown: { readonly key: string; readonly layer: Promise<ShownLayer | string> } | undefined;

  constructor(inspections: Inspections, arithmetic: WeightArithmetic) {
    this.#inspections = inspections;
    this.#arithmetic = arithmetic;
  }

  /**
   * Compares two LoRAs, deltas or stacks of them, weight by weight; where B is empty, A with no change at all: what a stack would
   * change. Throws what opening the files throws, and "lora.unsupported" for what is no LoRA or delta.
   */
  compare(target: ComparisonTarget, context: JobContext): Promise<OpenedComparison> {
    return this.#use(target, async (open) => {
      const { entries, sides, state } = open;
      const numbers = await this.#numbers(target, open, context);
      const notes = Array.from(new Set(entries.flatMap(({ inspection }) => inspection.header.notes)));
      if (target.b.length > 0 && numbers.totals.layersInBoth === 0)
        notes.unshift("the two have no layer in common, or name their layers differently: give their base");
      const [a, b] = sides;
      const { base } = target;
      return { result: { a: a.labels, b: b.labels, ...(base !== undefined && { base }), ...numbers, notes }, state };
    });
  }

  /** Throws an UserError where the files are others than those that were compared, a RangeError for a layer that is in neither. */
  detail(target: ComparedLayerTarget, signal?: AbortSignal): Promise<ComparisonDetail> {
    return this.#useSame(target, async (open) => {
      const shown = await this.#layer(target, open);
      const isThere = typeof shown !== "string";
      const baseNorm = await this.#baseNorm(target.layer, open);
      const { row } = await compareLayer(target.layer, open.sides, isThere ? shown.pair : shown, baseNorm, signal);
      return isThere ? comparisonDetail(row, shown.pair, shown.difference, signal) : { comparison: row, ...layerSize(row) };
    });
  }

  /** A tile of the map of the difference. Throws as `detail` does, "option.invalid" for a layer that has none, a RangeError for no tile. */
  tile(target: ComparedLayerTarget, { level, x, y }: TilePlace): Promise<HeatMapTile> {
    return this.#useSame(target, async (open) => {
      const shown = await this.#layer(target, open);
      if (typeof shown === "string") throw new UserError("option.invalid", shown);
      return heatMapTile(shown.difference, level, x, y);
    });
  }

  async #numbers(target: ComparisonTarget, open: OpenSides, context: JobContext): Promise<ComparisonNumbers> {
    const cache = target.cache === undefined ? undefined : comparisonCache(target.cache);
    const source = cache && (await contentOf(target, open.entries, context.signal));
    const known = source && (await cache.read(source));
    if (known) return known;
    const compared = await this.#compareAll(open, context);
    const numbers = { layers: compared.map(({ row }) => row), totals: totalsOf(compared) };
    if (source) await cache.write(source, numbers);
    return numbers;
  }

  async #compareAll(open: OpenSides, { signal, ...context }: JobContext): Promise<ComparedLayer[]> {
    const report = stageProgress(context, "comparing the layers");
    const [a, b] = open.sides;
    const names = Array.from(new Set([...a.names, ...b.names]));
    const compared: ComparedLayer[] = [];
    for (const name of names) {
      throwIfCancelled(signal);
      const pair = await this.#pair(name, open, signal);
      compared.push(await compareLayer(name, open.sides, pair, await this.#baseNorm(name, open), signal));
      report(compared.length, names.length);
    }
    return compared;
  }

  async #pair(name: string, { sides: [a, b] }: OpenSides, signal: AbortSignal | undefined): Promise<LayerPair | string> {
    if (!a.layer(name) && !b.layer(name)) throw new RangeError(`There is no layer ${name}.`);
    return pairOf(await a.matrix(name, this.#arithmetic, signal), await b.matrix(name, this.#arithmetic, signal));
  }

  async #baseNorm(name: string, { entries, sides: [a, b] }: OpenSides): Promise<number | undefined> {
    const weight = (a.layer(name) ?? b.layer(name))?.weight;
    const base = entries.find(({ inspection }) => inspection.base?.read)?.inspection.base;
    return weight && (await base?.norm(weight.name));
  }

  #layer(target: ComparedLayerTarget, open: OpenSides): Promise<ShownLayer | string> {
    const key = JSON.stringify([target.a, target.b, target.base, target.state, target.layer]);
    if (this.#shown?.key === key) return this.#shown.layer;
    const shown = { key, layer: this.#readLayer(target, open) };
    this.#shown = shown;
    // What could not be read may be the next time; by then another layer may be looked at.
    shown.layer.catch(() => {
      if (this.#shown === shown) this.#shown = undefined;
    });
    return shown.layer;
  }

  async #readLayer({ layer, b }: ComparedLayerTarget, open: OpenSides): Promise<ShownLayer | string> {
    const pair = await this.#pair(layer, open, undefined);
    if (typeof pair === "string") return pair;
    return { pair, difference: await shownDifference(pair, b.length > 0, this.#arithmetic) };
  }

  #useSame<R>(target: ComparedLayerTarget, body: (open: OpenSides) => Promise<R>): Promise<R> {
    return this.#use(target, (open) => {
      if (open.state === target.state) return body(open);
      throw new UserError("file.invalid", "A file has changed since it was compared. Compare again.");
    });
  }

  #use<R>({ a, b, base }: ComparisonTarget, body: (open: OpenSides) => Promise<R>): Promise<R> {
    return this.#withEntries([...a, ...b], base, [], (entries) => {
      const sides = [new ComparisonSide(entries.slice(0, a.length)), new ComparisonSide(entries.slice(a.length))] as const;
      return body({ entries, sides, state: entries.map(({ inspection }) => inspection.header.state).join(" ") });
    });
  }

  /** Opens every file, one inside the other, so that all stay open until `body` is done. */
  #withEntries<R>(
    references: readonly LoraReference[],
    base: string | undefined,
    opened: readonly SideEntry[],
    body: (entries: readonly SideEntry[]) => Promise<R>,
  ): Promise<R> {
    const [reference, ...rest] = references;
    if (!reference) return body(opened);
    return this.#inspections.use({ path: reference.file, base }, (inspection) =>
      this.#withEntries(rest, base, [...opened, { reference, inspection }], body),
    );
  }
}

/** All that a comparison's numbers depend on: what the files and the base hold, and the strengths. */
async function contentOf({ a }: ComparisonTarget, entries: readonly SideEntry[], signal: AbortSignal | undefined): Promise<unknown[]> {
  const parts: unknown[] = [a.length];
  for (const { reference, inspection } of entries) {
    const { scale, textEncoderScale = null, blockWeights = null } = reference;
    parts.push([await inspection.contentKey(signal), scale, textEncoderScale, blockWeights]);
  }
  return parts;
}
