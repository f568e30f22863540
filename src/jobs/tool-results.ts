import type { LoraReport } from "./results.ts";

/* What the merging tools give back; see results.ts. */

export interface BakeResult {
  readonly file: string;
  readonly bytes: number;
  /** How many weights have new values; all others are the checkpoint's bytes. */
  readonly changed: number;
  readonly loras: readonly LoraReport[];
  readonly warnings: readonly string[];
}

/** One layer of a LoRA that was made; `name` is its module's in the new file. */
export interface ToolLayer {
  readonly name: string;
  /** The rank before; that of the exact sum where LoRAs are merged. */
  readonly from: number;
  readonly to: number;
  /** Frobenius norm of what was dropped, relative to the whole change's. */
  readonly error: number;
}

export interface ExtractResult {
  readonly file: string;
  readonly bytes: number;
  /** The linear layers and convolutions that changed; an error is what the LoRA does not give back, relative to the change. */
  readonly layers: readonly { readonly name: string; readonly rank: number; readonly error: number }[];
  /** Of all layers together. */
  readonly error: number;
  /** Tensors of biases and normalizations that changed: they are in the LoRA as they are. */
  readonly differences: readonly string[];
  readonly warnings: readonly string[];
}

/** Of `resize` and `mergeLoras`. */
export interface CombinedLoraResult {
  readonly file: string;
  readonly bytes: number;
  readonly layers: readonly ToolLayer[];
  /** Of all layers together, as for one; 0 where nothing was dropped. */
  readonly error: number;
  readonly warnings: readonly string[];
}
