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
