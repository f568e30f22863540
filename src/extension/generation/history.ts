import type { GenerationForm } from "../../webview/generation/model/form.ts";
import type { StackEntry } from "../stack/entries.ts";

/** Pictures that a job of the panel has made. */
export interface HistoryRecord {
  readonly id: string;
  /** Paths; those of one batch share everything else. */
  readonly pictures: readonly string[];
  readonly form: GenerationForm;
  readonly stack: readonly StackEntry[];
  readonly seed: string;
  readonly milliseconds: number;
  readonly isGrid: boolean;
}

/** As many records as the workspace keeps; older pictures stay on the disk. */
export const MOST_RECORDS = 200;

/** A record in front of the others. */
export function withRecord(records: readonly HistoryRecord[], record: HistoryRecord): HistoryRecord[] {
  return [record, ...records].slice(0, MOST_RECORDS);
}

/** What a workspace kept, without what is not a record. */
export function readRecords(kept: unknown): HistoryRecord[] {
  return Array.isArray(kept) ? kept.filter((each) => isRecord(each)) : [];
}

function isRecord(value: unknown): value is HistoryRecord {
  if (typeof value !== "object" || value === null) return false;
  const { id, pictures, form, stack, seed, milliseconds } = value as Partial<Record<keyof HistoryRecord, unknown>>;
  const isPaths = Array.isArray(pictures) && pictures.length > 0 && pictures.every((path) => typeof path === "string");
  const isTexts = typeof id === "string" && typeof seed === "string" && typeof milliseconds === "number";
  return isPaths && isTexts && typeof form === "object" && form !== null && Array.isArray(stack);
}
