import type { TensorEntry } from "../formats/safetensors.ts";

/**
 * A LoRA's update of one module (arXiv:2106.09685): change = scale · up·down.
 * up [out, rank] or [out, rank, 1, 1]; down [rank, in] or, of a convolution, [rank, in, kernel height, kernel width].
 */
export interface LowRankUpdate {
  readonly kind: "lowRank";
  /** As the file names the module. */
  readonly module: string;
  readonly up: TensorEntry;
  readonly down: TensorEntry;
  readonly rank: number;
  /** Absent where the file gives none, which means alpha = rank. */
  readonly alpha?: number;
  /** alpha / rank, or alpha / √rank for rank-stabilized LoRA (arXiv:2312.03732). */
  readonly scale: number;
}

/** Every kind of update; another kind joins as one more file beside low-rank.ts. */
export type LoraUpdate = LowRankUpdate;

/** A module, key or tensor of a LoRA file, and what is to be said about it. */
export interface Finding {
  readonly name: string;
  readonly reason: string;
}
