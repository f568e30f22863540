import { UserError } from "../formats/errors.ts";
import type { Delta, StackEntry, WeightChange } from "./delta.ts";
import type { MergeTerm } from "./merge.ts";
import { isLinearChange } from "./stack-arithmetic.ts";

/** What has to be done to a loaded engine for a new stack. */
export interface StackPlan {
  /** Weights to be computed from the base. */
  readonly merge: readonly PlannedMerge[];
  /** Weights that the last stack changed and the new one leaves alone: they get the base's own bits. */
  readonly restore: readonly string[];
}

export interface PlannedMerge {
  readonly name: string;
  readonly shape: readonly number[];
  readonly terms: readonly MergeTerm<WeightChange>[];
}

/** A stack's entry as far as planning needs it. */
export interface PlannedEntry extends Pick<StackEntry, "scale" | "weightScale"> {
  readonly delta: Pick<Delta, "file" | "changes">;
}

/**
 * Plans the way to `stack`: over every weight that is changed now or will be, the new one's terms in the stack's order, or none.
 * A scale of 0 is no change. A linear change that stands in the stack twice is applied once, at the sum of its scales; one that is
 * not linear is applied each time.
 * @param changed names of the weights that do not have the base's values now
 */
export function planStack(changed: Iterable<string>, stack: readonly PlannedEntry[]): StackPlan {
  const planned = new Map<string, { shape: readonly number[]; terms: { change: WeightChange; scale: number }[] }>();
  for (const { delta, scale, weightScale } of stack) {
    for (const [name, change] of delta.changes) {
      const own = checkedScale(scale * (weightScale?.(name) ?? 1), delta.file);
      const weight = planned.get(name) ?? { shape: change.shape, terms: [] };
      planned.set(name, weight);
      const same = weight.terms.find((term) => term.change === change);
      if (same && isLinearChange(change)) same.scale += own;
      else if (own !== 0) weight.terms.push({ change, scale: own });
    }
  }
  const merge = Array.from(planned, ([name, { shape, terms }]) => ({ name, shape, terms: terms.filter((term) => term.scale !== 0) }));
  const needed = merge.filter(({ terms }) => terms.length > 0);
  const names = new Set(needed.map(({ name }) => name));
  return { merge: needed, restore: Array.from(changed).filter((name) => !names.has(name)) };
}

function checkedScale(scale: number, file: string): number {
  if (!Number.isFinite(scale)) throw new UserError("option.invalid", `${file}: the scale ${scale} is not a finite number.`);
  return scale;
}
