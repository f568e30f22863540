import { UserError } from "../formats/errors.ts";
import type { Delta, StackEntry } from "./delta.ts";
import type { MergeTerm } from "./merge.ts";

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
  readonly terms: readonly MergeTerm[];
}

/**
 * Plans the way to `stack`: over every weight that is changed now or will be, the new one's terms, or none.
 * A scale of 0 is no change; a delta that stands in the stack twice is applied once, at the sum of its scales.
 * @param changed names of the weights that do not have the base's values now
 */
export function planStack(changed: Iterable<string>, stack: readonly StackEntry[]): StackPlan {
  const planned = new Map<string, { shape: readonly number[]; terms: MergeTerm[] }>();
  for (const [delta, scale] of totalScales(stack)) {
    if (scale === 0) continue;
    for (const [name, change] of delta.changes) {
      const terms = planned.get(name)?.terms;
      if (terms) terms.push({ change, scale });
      else planned.set(name, { shape: change.shape, terms: [{ change, scale }] });
    }
  }
  return {
    merge: Array.from(planned, ([name, { shape, terms }]) => ({ name, shape, terms })),
    restore: Array.from(changed).filter((name) => !planned.has(name)),
  };
}

function totalScales(stack: readonly StackEntry[]): Map<Delta, number> {
  const scales = new Map<Delta, number>();
  for (const { delta, scale } of stack) {
    if (!Number.isFinite(scale)) throw new UserError("option.invalid", `${delta.file}: the scale ${scale} is not a finite number.`);
    scales.set(delta, (scales.get(delta) ?? 0) + scale);
  }
  return scales;
}
