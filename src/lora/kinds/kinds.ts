import type { BlockSize, FactorShapes } from "../factors.ts";
import { DIFFERENCE, SET_WEIGHT } from "./difference.ts";
import { MAGNITUDES, magnitudeMisfit } from "./dora.ts";
import { GLORA } from "./glora.ts";
import { IA3, PEFT_IA3 } from "./ia3.ts";
import { completeSet, type UpdateKind } from "./kind.ts";
import { LOHA } from "./loha.ts";
import { LOKR } from "./lokr.ts";
import { LORA, TUCKER_LORA } from "./lora.ts";
import { BOFT, OFT, OFT_DIAGONAL } from "./oft.ts";
import { PEFT_BOFT, PEFT_OFT } from "./peft-oft.ts";

/** All kinds of update; where the factors of one are among another's, the larger comes first. */
const KINDS: readonly UpdateKind[] = [
  TUCKER_LORA,
  LORA,
  LOHA,
  LOKR,
  GLORA,
  OFT,
  OFT_DIAGONAL,
  PEFT_OFT,
  PEFT_BOFT,
  IA3,
  PEFT_IA3,
  DIFFERENCE,
  SET_WEIGHT,
];

/** The kinds that a magnitude may stand beside. */
const DECOMPOSABLE: ReadonlySet<UpdateKind> = new Set([LORA, TUCKER_LORA, LOHA, LOKR]);

/** The kind of update that factors are of; a string says why they are of none. */
export function kindOf(shapes: FactorShapes): UpdateKind | string {
  const found = KINDS.find((kind) => completeSet(kind.required, shapes));
  if (!found) return "its factors are not all there";
  // Both are called oft_blocks: LyCORIS tells them apart by their axes too.
  const kind = found === OFT && shapes.get("oft_blocks")!.length === 4 ? BOFT : found;
  if (isDecomposed(shapes) && !DECOMPOSABLE.has(kind)) return `${kind.label} has no magnitudes`;
  return kind;
}

/** Whether factors are those of a DoRA. */
export function isDecomposed(shapes: Pick<FactorShapes, "has">): boolean {
  return MAGNITUDES.some((name) => shapes.has(name));
}

/** As reports name what factors are: "LoHa", "DoRA of LoHa". */
export function kindLabel(kind: UpdateKind, shapes: Pick<FactorShapes, "has">): string {
  if (!isDecomposed(shapes)) return kind.label;
  return kind === LORA ? "DoRA" : `DoRA of ${kind.label}`;
}

/** Whether the change is the same whatever the weight is, and linear in the strength. */
export function isLinearKind(kind: UpdateKind, shapes: Pick<FactorShapes, "has">): boolean {
  return kind.change !== undefined && !isDecomposed(shapes);
}

/** Why factors cannot change a weight of this size; undefined where they can. */
export function kindMisfit(kind: UpdateKind, shapes: FactorShapes, size: BlockSize): string | undefined {
  return kind.misfit(shapes, size) ?? magnitudeMisfit(shapes, size);
}
