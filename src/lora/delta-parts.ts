import type { TensorEntry } from "../formats/safetensors.ts";
import { blockSize, type FactorShapes } from "./factors.ts";
import { kindMisfit, kindOf } from "./kinds/kinds.ts";

/** One part of a factored change as a delta file holds it: its tensors by their factors' names. */
export interface StoredPart {
  readonly entries: ReadonlyMap<string, TensorEntry>;
  /** Rows [start, end) of the weight that it changes; absent: all. */
  readonly rows?: { readonly start: number; readonly end: number };
}

/** Puts the factors of each part together ("part_1.rows_0_768.hada_w1_a" is one of part 1), in the order the parts were written in. */
export function storedParts(stored: ReadonlyMap<string, TensorEntry>): StoredPart[] {
  const parts = new Map<string, StoredPart & { readonly entries: Map<string, TensorEntry> }>();
  for (const [key, entry] of stored) {
    const [, place, start, end, name] = /^((?:part_\d+\.)?(?:rows_(\d+)_(\d+)\.)?)(.+)$/s.exec(key) as unknown as string[];
    const part = parts.get(place!) ?? {
      entries: new Map<string, TensorEntry>(),
      ...(start === undefined ? {} : { rows: { start: Number(start), end: Number(end) } }),
    };
    part.entries.set(name!, entry);
    parts.set(place!, part);
  }
  // A safetensors file keeps no order.
  const order = (place: string) => Number(/^part_(\d+)/.exec(place)?.[1] ?? 0);
  return Array.from(parts)
    .toSorted(([a], [b]) => order(a) - order(b))
    .map(([, part]) => part);
}

/** Why factors of these shapes cannot change a weight (or the `rows` of one) of this shape; undefined where they can. */
export function partMisfit(shapes: FactorShapes, rows: StoredPart["rows"], shape: readonly number[]): string | undefined {
  if (rows && (rows.start >= rows.end || rows.end > shape[0]!)) return `it has no rows ${rows.start} to ${rows.end}`;
  const kind = kindOf(shapes);
  if (typeof kind === "string") return kind;
  const size = blockSize(rows ? [rows.end - rows.start, ...shape.slice(1)] : shape);
  return kind.check(shapes) ?? kindMisfit(kind, shapes, size);
}
