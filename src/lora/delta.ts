import type { Architecture } from "../models/architecture.ts";

/**
 * The change of one weight. `lowRank`: up [out, rank] · down [rank, in], reshaped to the weight's shape, alpha and the
 * delta's own strength already multiplied into `up`; `dense`: the change itself, in the weight's shape.
 */
export type WeightChange =
  | { readonly kind: "lowRank"; readonly rank: number; readonly up: Float32Array; readonly down: Float32Array }
  | { readonly kind: "dense"; readonly values: Float32Array };

/** A LoRA made ready for one architecture: initializer name -> change. */
export interface Delta {
  readonly file: string;
  readonly architecture: Architecture;
  readonly baseFingerprint: string;
  readonly loraFile: string;
  readonly strength: number;
  readonly changes: ReadonlyMap<string, WeightChange & { readonly shape: readonly number[] }>;
}

/** One delta of a stack, with the scale it is applied at. */
export interface StackEntry {
  readonly delta: Delta;
  readonly scale: number;
}
