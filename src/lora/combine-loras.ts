import { throwIfCancelled, UserError } from "../formats/errors.ts";
import type { TensorSource } from "../formats/safetensors-writer.ts";
import { joinFactors, readFactors, sumDifferences, type WeightedUpdate } from "./joined-update.ts";
import type { KohyaNames } from "./kohya-names.ts";
import { LowRankSvd, lowRankSquare } from "./linear-algebra/low-rank-svd.ts";
import { balancedFactors, keptRank, type Truncation } from "./linear-algebra/truncation.ts";
import { sumOfSquares } from "./linear-algebra/vectors.ts";
import type { LoraFile } from "./lora-file.ts";
import { factorShapesOf, loraTensors, writtenFactor, writtenTensor } from "./lora-tensors.ts";
import { shapeMisfit } from "./low-rank.ts";
import type { DenseUpdate, LoraUpdate, LowRankUpdate } from "./update.ts";

/** A LoRA and how strongly each of its modules is taken. */
export interface WeightedLora {
  readonly lora: LoraFile;
  /** By the module's name in the file. */
  readonly scaleOf: (module: string) => number;
}

/** One module of the result. */
export interface CombinedLayer {
  /** As the new file names the module. */
  readonly name: string;
  /** Of the exact sum. */
  readonly from: number;
  readonly to: number;
  /** Frobenius norm of what was dropped, relative to the exact sum's. */
  readonly error: number;
  readonly alpha: number;
}

export interface CombinedLoras {
  readonly tensors: readonly TensorSource[];
  readonly layers: readonly CombinedLayer[];
  /** Of all layers together. */
  readonly error: number;
}

export interface CombineOptions {
  /** Absent: the sum is exact. */
  readonly truncation?: Truncation | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress: (done: number, total: number) => void;
}

/** The updates of one weight or bias. */
interface Group {
  readonly name: string;
  readonly kind: "lowRank" | "dense";
  readonly target: LoraUpdate["target"];
  readonly parts: WeightedUpdate<LowRankUpdate | DenseUpdate>[];
}

/**
 * Sums LoRAs under kohya's names. Of several low-rank updates of a module the factors stand side by side, so that the sum is exact and
 * has the sum of their ranks; with a truncation it is the best approximation of that, by the singular value decomposition through QR
 * of the factors. One update alone keeps its own factors and its scale (alpha / rank). Updates of other kinds are passed over.
 * Throws "lora.wrongArchitecture" where two files' changes of a module have different shapes, "lora.unsupported" for factors that are
 * no finite numbers.
 */
export async function combineLoras(
  loras: readonly WeightedLora[],
  names: KohyaNames,
  { truncation, signal, onProgress }: CombineOptions,
): Promise<CombinedLoras> {
  const groups = groupUpdates(loras, names);
  const tensors: TensorSource[] = [];
  const layers: CombinedLayer[] = [];
  let [dropped, total] = [0, 0];
  for (const [index, group] of groups.entries()) {
    throwIfCancelled(signal);
    if (group.kind === "dense") tensors.push(await denseTensor(group));
    else {
      const combined = await combineLowRank(group, truncation);
      tensors.push(...combined.tensors);
      layers.push(combined.layer);
      dropped += combined.dropped;
      total += combined.total;
    }
    onProgress(index + 1, groups.length);
  }
  return { tensors, layers, error: relativeNorm(dropped, total) };
}

/** The norm of a part relative to the whole's, from their squares. */
export function relativeNorm(part: number, whole: number): number {
  return part === 0 || whole === 0 ? 0 : Math.sqrt(part / whole);
}

function groupUpdates(loras: readonly WeightedLora[], names: KohyaNames): Group[] {
  const groups = new Map<string, Group>();
  for (const { lora, scaleOf } of loras) {
    for (const update of lora.updates) {
      if (update.kind === "factored") continue;
      const { module, target, kind } = update;
      const name = names.name(module);
      const key = JSON.stringify([name, target, kind]);
      const group = groups.get(key) ?? { name, kind, target, parts: [] };
      groups.set(key, group);
      const part = { lora, update, scale: update.scale * scaleOf(module) };
      refuseOtherShape(group, part);
      if (part.scale !== 0) group.parts.push(part);
    }
  }
  return [...groups.values()].filter(({ parts }) => parts.length > 0);
}

function refuseOtherShape({ parts }: Group, { lora, update }: WeightedUpdate<LowRankUpdate | DenseUpdate>): void {
  const [first] = parts;
  const reason = first && shapeMisfit(changedShape(update), changedShape(first.update));
  if (reason === undefined) return;
  throw new UserError(
    "lora.wrongArchitecture",
    `${lora.path} and ${first!.lora.path} are for different models: of "${update.module}", ${reason}. Merge LoRAs of one model.`,
  );
}

function changedShape(update: LowRankUpdate | DenseUpdate): readonly number[] {
  return update.kind === "dense" ? update.values.shape : [update.up.shape[0]!, ...update.down.shape.slice(1)];
}

async function denseTensor({ name, target, parts }: Group): Promise<TensorSource> {
  const updates = parts as WeightedUpdate<DenseUpdate>[];
  const isNorm = updates.every(({ update }) => update.label === "norm");
  const suffix = isNorm ? { weight: "w_norm", bias: "b_norm" } : { weight: "diff", bias: "diff_b" };
  return writtenTensor(`${name}.${suffix[target]}`, await sumDifferences(updates));
}

async function combineLowRank({ name, parts }: Group, truncation: Truncation | undefined) {
  const updates = parts as WeightedUpdate<LowRankUpdate>[];
  const shape = changedShape(updates[0]!.update);
  const joined = await joinFactors(updates);
  const { rank: from, scale } = joined;
  const exact = () => ({
    tensors: loraTensors(name, joined.up, joined.down, scale * from),
    layer: { name, from, to: from, error: 0, alpha: scale * from },
    dropped: 0,
  });
  if (!truncation) return { ...exact(), total: 0 };
  const product = { rank: from, ...(await readFactors(updates)) };
  const isSmall = truncation.energy === undefined && (truncation.rank ?? from) >= from;
  if (isSmall) return { ...exact(), total: lowRankSquare(product) * scale ** 2 };
  const svd = new LowRankSvd(product);
  const to = keptRank(svd.singularValues, truncation);
  const total = sumOfSquares(svd.singularValues) * scale ** 2;
  if (to === from) return { ...exact(), total };
  const dropped = sumOfSquares(svd.singularValues.subarray(to)) * scale ** 2;
  const { up, down } = balancedFactors(svd.singularValues, svd.left(to), svd.right(to));
  const shapes = factorShapesOf(shape, to);
  const tensors = loraTensors(name, writtenFactor(up, joined.dtype, shapes.up), writtenFactor(down, joined.dtype, shapes.down), scale * to);
  return { tensors, layer: { name, from, to, error: relativeNorm(dropped, total), alpha: scale * to }, dropped, total };
}
