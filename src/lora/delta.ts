import type { Architecture } from "../models/architecture.ts";
import type { Factors } from "./factors.ts";

/** up [out, rank] · down [rank, in], reshaped to the weight's shape; alpha and the delta's own strength are multiplied into `up`. */
export interface LowRankChange {
  readonly kind: "lowRank";
  readonly rank: number;
  readonly up: Float32Array;
  readonly down: Float32Array;
}

/** The change itself, in the weight's shape, at the delta's own strength. */
export interface DenseChange {
  readonly kind: "dense";
  readonly values: Float32Array;
}

/**
 * A change that is kept as its factors (src/lora/kinds): LoHa, LoKr, DoRA, OFT, … One that is not linear in the strength, or that
 * depends on the weight, is computed from what the weight is when its turn in the stack comes.
 */
export interface FactoredChange {
  readonly kind: "factored";
  /** Applied one after the other, where modules share a fused weight or a module has several updates. */
  readonly parts: readonly FactoredPart[];
  /** The delta's own, multiplied with the stack's. */
  readonly strength: number;
}

export interface FactoredPart {
  readonly factors: Factors;
  /** Rows [start, end) of the weight that it changes; absent: all. */
  readonly rows?: { readonly start: number; readonly end: number };
}

/** What a matrix product and sums compute, the same at every strength. */
export type LinearChange = LowRankChange | DenseChange;

/** The change of one weight. */
export type WeightChange = LinearChange | FactoredChange;

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
  /** Multiplied with `scale` for each weight, by its name: block weights, another strength on text encoders. Absent: 1 for all. */
  readonly weightScale?: (name: string) => number;
}
