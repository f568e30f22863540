import { basename } from "node:path";
import { UserError } from "../../formats/errors.ts";
import { matrixSize, type MergeTerm, type WeightArithmetic } from "../../lora/merge.ts";
import type { WeightChange } from "../../lora/delta.ts";
import { stackScales } from "../../lora/strengths.ts";
import { changeMatrix, type LayerMatrix } from "../inspection/layer-matrix.ts";
import { storedNonFinite } from "../inspection/layer-statistics.ts";
import { NEEDS_BASE, type Layer } from "../inspection/layers.ts";
import type { OpenInspection } from "../inspection/open-inspection.ts";
import type { LoraReference } from "../options.ts";

/** One LoRA or delta of a side, opened. */
export interface SideEntry {
  readonly reference: LoraReference;
  readonly inspection: OpenInspection;
}

interface SideTerm {
  readonly layer: Layer;
  readonly scale: number;
  readonly inspection: OpenInspection;
}

/** A stack of LoRAs and deltas, in their order, as one change of each weight. */
export class ComparisonSide {
  readonly labels: readonly string[];
  readonly #terms = new Map<string, SideTerm[]>();

  /** Throws "lora.unsupported" for a file that is neither a LoRA nor a delta, "option.invalid" for block weights that are none. */
  constructor(entries: readonly SideEntry[]) {
    this.labels = entries.map(({ reference }) => label(reference));
    for (const { reference, inspection } of entries) {
      const { kind, path } = inspection.header;
      if (kind !== "lora" && kind !== "delta") {
        throw new UserError("lora.unsupported", `${path} is neither a LoRA nor a delta. Only those can be compared.`);
      }
      const { scale, weightScale } = stackScales(reference);
      for (const layer of inspection.layers) {
        const own = scale * (weightScale?.(layer.name) ?? 1);
        const terms = this.#terms.get(layer.name) ?? [];
        this.#terms.set(layer.name, terms);
        if (own !== 0) terms.push({ layer, scale: own, inspection });
      }
    }
  }

  /** Names of the layers that it changes, in the files' order. */
  get names(): readonly string[] {
    return Array.from(this.#terms).flatMap(([name, terms]) => (terms.length > 0 ? [name] : []));
  }

  layer(name: string): Layer | undefined {
    return this.#terms.get(name)?.[0]?.layer;
  }

  /** Sum of the ranks; undefined where a part has none. */
  rank(name: string): number | undefined {
    const ranks = (this.#terms.get(name) ?? []).map(({ layer }) => layer.rank);
    return ranks.length === 0 || ranks.includes(undefined) ? undefined : ranks.reduce<number>((sum, rank) => sum + rank!, 0);
  }

  /** The change of a weight, or why it cannot be computed. A layer at scale 0 throughout is no change. */
  async matrix(name: string, arithmetic: WeightArithmetic, signal: AbortSignal | undefined): Promise<LayerMatrix | string | undefined> {
    const found = this.#terms.get(name);
    if (!found || found.length === 0) return undefined;
    const [{ layer: first, inspection }] = found as [SideTerm];
    if (!first.shape) return NEEDS_BASE;
    const terms: MergeTerm<WeightChange>[] = [];
    for (const { layer, scale, inspection: own } of found) {
      const { nan, infinite } = await storedNonFinite(layer, own.tools(signal));
      if (nan + infinite > 0) return `It has ${nan} NaN and ${infinite} infinite values.`;
      if (!isSameSize(layer.shape, first.shape))
        return `Its parts have the shapes [${layer.shape?.join(", ")}] and [${first.shape.join(", ")}].`;
      const change = await readable(layer);
      if (typeof change === "string") return change;
      terms.push({ change, scale });
    }
    const { weight } = first;
    const readBase = inspection.base?.read && weight ? () => inspection.base!.read!(weight.name) : undefined;
    return (await changeMatrix({ shape: first.shape, terms, readBase }, arithmetic)) ?? NEEDS_BASE;
  }
}

/** Whether two shapes are the same matrix. */
export function isSameSize(a: readonly number[] | undefined, b: readonly number[] | undefined): boolean {
  if (!a || !b) return false;
  const [first, second] = [matrixSize(a), matrixSize(b)];
  return first.rows === second.rows && first.columns === second.columns;
}

async function readable(layer: Layer): Promise<WeightChange | string> {
  try {
    return await layer.readChange!();
  } catch (error) {
    if (error instanceof UserError && error.code === "delta.wrongBase") return error.message;
    throw error;
  }
}

function label({ file, scale, textEncoderScale, blockWeights }: LoraReference): string {
  const scales = textEncoderScale === undefined ? `${scale}` : `${scale} (text encoders ${textEncoderScale})`;
  return `${basename(file)} × ${scales}${blockWeights === undefined ? "" : ` [${blockWeights}]`}`;
}
