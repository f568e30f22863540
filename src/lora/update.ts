import type { TensorEntry } from "../formats/safetensors.ts";
import type { FactorShapes } from "./factors.ts";
import type { UpdateKind } from "./kinds/kind.ts";

interface UpdateOfModule {
  /** As the file names the module. */
  readonly module: string;
  /** Which of the module's weights it changes. */
  readonly target: "weight" | "bias";
  /** As reports name the kind: "LoRA", "DoRA of LoHa". */
  readonly label: string;
  /** 0 where the kind has none. */
  readonly rank: number;
  /** Width of the module's input, where the factors tell. */
  readonly inputs?: number;
  /** Absent where the file gives none. */
  readonly alpha?: number;
}

/**
 * A LoRA's update of one module (arXiv:2106.09685): change = scale · up·down.
 * up [out, rank] or [out, rank, 1, 1]; down [rank, in] or, of a convolution, [rank, in, kernel height, kernel width].
 */
export interface LowRankUpdate extends UpdateOfModule {
  readonly kind: "lowRank";
  readonly up: TensorEntry;
  readonly down: TensorEntry;
  /** alpha / rank, or alpha / √rank for rank-stabilized LoRA (arXiv:2312.03732). */
  readonly scale: number;
}

/** The change itself: LyCORIS' `diff`, `diff_b`, `w_norm` and `b_norm`, the bias of PEFT's lora_B. */
export interface DenseUpdate extends UpdateOfModule {
  readonly kind: "dense";
  readonly values: TensorEntry;
  readonly scale: number;
}

/** An update of any other kind, by its factors. */
export interface FactoredUpdate extends UpdateOfModule {
  readonly kind: "factored";
  readonly is: UpdateKind;
  /** Published name -> tensor. */
  readonly factors: ReadonlyMap<string, TensorEntry>;
  /** Factors that are one number: alpha, such that the scale is alpha / rank, and what a configuration says. */
  readonly numbers: ReadonlyMap<string, number>;
}

/** Every kind of update. */
export type LoraUpdate = LowRankUpdate | DenseUpdate | FactoredUpdate;

/** A module, key or tensor of a LoRA file, and what is to be said about it. */
export interface Finding {
  readonly name: string;
  readonly reason: string;
}

/** The tensors of an update. */
export function entriesOf(update: LoraUpdate): readonly TensorEntry[] {
  if (update.kind === "lowRank") return [update.up, update.down];
  return update.kind === "dense" ? [update.values] : Array.from(update.factors.values());
}

/** The shapes of a factored update's factors, those that are one number included. */
export function factorShapes({ factors, numbers }: FactoredUpdate): FactorShapes {
  const shapes = new Map<string, readonly number[]>(Array.from(factors, ([name, { shape }]) => [name, shape]));
  for (const name of numbers.keys()) shapes.set(name, []);
  return shapes;
}
