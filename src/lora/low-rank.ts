import type { TensorEntry } from "../formats/safetensors.ts";
import type { LowRankUpdate } from "./update.ts";

/** What a file holds for one module, before it is known to fit together. */
export interface LowRankFactors {
  readonly up: TensorEntry | undefined;
  readonly down: TensorEntry | undefined;
  readonly alpha?: number;
  readonly rankStabilized: boolean;
}

/** Puts a module's factors together; a string says why they do not fit. */
export function lowRankUpdate(module: string, { up, down, alpha, rankStabilized }: LowRankFactors): LowRankUpdate | string {
  if (!up || !down) return up ? "it has an up factor but no down factor" : "it has no up factor";
  if (up.shape.length < 2 || down.shape.length < 2 || up.shape.slice(2).some((size) => size !== 1)) {
    return `its factors have the shapes ${shapeText(up)} and ${shapeText(down)}, which are not those of a LoRA`;
  }
  const rank = down.shape[0]!;
  if (up.shape[1] !== rank) return `its up factor has rank ${up.shape[1]}, its down factor rank ${rank}`;
  if (alpha !== undefined && !Number.isFinite(alpha)) return `its alpha is ${alpha}`;
  const scale = alpha === undefined ? 1 : alpha / (rankStabilized ? Math.sqrt(rank) : rank);
  const common = { module, target: "weight", label: "LoRA", rank, inputs: down.shape[1]! } as const;
  return { ...common, kind: "lowRank", up, down, scale, ...(alpha === undefined ? {} : { alpha }) };
}

/**
 * Why an update cannot change a weight (or the `rows` of one) of this shape; undefined where it can. A 1×1 convolution and a linear
 * layer are the same matrix, so either's factors fit the other.
 */
export function lowRankMisfit({ up, down }: LowRankUpdate, shape: readonly number[], rows = shape[0]!): string | undefined {
  return shapeMisfit([up.shape[0]!, ...down.shape.slice(1)], shape, rows);
}

/** Why a change of one shape does not fit a weight (or the `rows` of one) of another. */
export function shapeMisfit(changed: readonly number[], shape: readonly number[], rows = shape[0]!): string | undefined {
  const wanted = [rows, ...shape.slice(1)];
  const fits = withoutOnes(changed).join() === withoutOnes(wanted).join();
  return fits ? undefined : `it changes a weight of shape [${changed.join(", ")}], here it is [${wanted.join(", ")}]`;
}

/** Without the ones at the end, the first size kept. */
function withoutOnes(shape: readonly number[]): readonly number[] {
  let end = shape.length;
  while (end > 1 && shape[end - 1] === 1) end--;
  return shape.slice(0, end);
}

function shapeText({ shape }: TensorEntry): string {
  return `[${shape.join(", ")}]`;
}
