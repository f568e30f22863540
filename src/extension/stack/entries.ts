import { resolve } from "node:path";
import type { StackItem } from "../../worker/protocol.ts";
import { pathKey } from "../memory.ts";

/** A LoRA or delta of a stack. A file stands in a stack once: its path tells the entries apart. */
export interface StackEntry {
  readonly file: string;
  readonly scale: number;
  readonly textEncoderScale?: number;
  readonly blockWeights?: string;
  /** False: keeps its place and scale, but changes nothing. */
  readonly enabled: boolean;
}

export type Stack = readonly StackEntry[];

/** Each engine's stack is remembered by itself: another window may change those of others. */
export function stackKey(engine: string): string {
  return pathKey("stack", resolve(engine));
}

/** Whether what was kept, perhaps by another version, or what a page has sent, is a stack. */
export function isStack(value: unknown): value is Stack {
  return Array.isArray(value) && value.every(isEntry);
}

function isEntry(value: unknown): value is StackEntry {
  const { file, scale, textEncoderScale, blockWeights, enabled } = (value ?? {}) as Partial<Record<keyof StackEntry, unknown>>;
  const isOptional = (each: unknown, type: "number" | "string"): boolean => each === undefined || typeof each === type;
  const isSized = Number.isFinite(scale) && isOptional(textEncoderScale, "number");
  return typeof file === "string" && isSized && isOptional(blockWeights, "string") && typeof enabled === "boolean";
}

/** How an entry is to be; what is left out stays, or is scale 1, switched on, where the entry is new. */
export type EntryChange = Partial<Omit<StackEntry, "file">>;

/** Puts a file on the stack, at its end or before the entry at `index`; one that is there already is changed where it stands. */
export function withEntry(stack: Stack, file: string, change: EntryChange = {}, index: number = stack.length): Stack {
  const at = stack.findIndex((entry) => entry.file === file);
  if (at >= 0) return stack.with(at, { ...stack[at]!, enabled: true, ...change });
  return stack.toSpliced(index, 0, { file, scale: 1, enabled: true, ...change });
}

/** Changes the entries of these files; others of the stack stay. */
export function withChanges(stack: Stack, files: readonly string[], change: EntryChange): Stack {
  return stack.map((entry) => (files.includes(entry.file) ? { ...entry, ...change } : entry));
}

export function without(stack: Stack, files: readonly string[]): Stack {
  return stack.filter(({ file }) => !files.includes(file));
}

/** Moves entries, in their order, to before the entry of `target`; to the end where that is undefined. */
export function moved(stack: Stack, files: readonly string[], target: string | undefined): Stack {
  if (target !== undefined && files.includes(target)) return stack;
  const rest = without(stack, files);
  const index = target === undefined ? rest.length : rest.findIndex(({ file }) => file === target);
  return rest.toSpliced(index < 0 ? rest.length : index, 0, ...stack.filter(({ file }) => files.includes(file)));
}

/** Whether a worker's stack, whose defaults may be left out, is this one. */
export function isSameStack(items: readonly StackItem[], stack: Stack): boolean {
  const text = ({ file, scale = 1, textEncoderScale, blockWeights, enabled = true }: StackItem): string =>
    JSON.stringify([file, scale, textEncoderScale ?? null, blockWeights ?? null, enabled]);
  return items.length === stack.length && items.every((item, index) => text(item) === text(stack[index]!));
}

/** A scale after a step up or down, without the dust of binary fractions. */
export function steppedScale(scale: number, step: number): number {
  return Math.round((scale + step) * 1000) / 1000;
}
