import { factor, type WeightBlock } from "../factors.ts";
import { sizeFrom } from "../factors.ts";
import { matrixMisfit, type UpdateKind } from "./kind.ts";

/** A full difference (LyCORIS' `diff`, `diff_b`, `w_norm`, `b_norm`; PEFT's bias of lora_B) as one of several parts of a change. */
export const DIFFERENCE: UpdateKind = {
  label: "a full difference",
  required: [["diff"]],
  multiplied: ["diff"],
  check: () => undefined,
  rank: () => 0,
  misfit: (shapes, size) => matrixMisfit(shapes.get("diff")![0] ?? 1, sizeFrom(shapes.get("diff")!, 1), size),
  inputs: (shapes) => shapes.get("diff")![1],
  changedShape: (shapes) => shapes.get("diff")!,
  // A copy: what is done to a change must not reach the factor.
  change: (factors) => Promise.resolve(factor(factors, "diff").values.slice()),
};

/** A whole new weight (ComfyUI's `set_weight`): it replaces what is there, whatever the strength. */
export const SET_WEIGHT: UpdateKind = {
  label: "set_weight",
  required: [["set_weight"]],
  multiplied: [],
  check: () => undefined,
  rank: () => 0,
  misfit: (shapes, size) => matrixMisfit(shapes.get("set_weight")![0] ?? 1, sizeFrom(shapes.get("set_weight")!, 1), size),
  inputs: (shapes) => shapes.get("set_weight")![1],
  apply(factors, { values }: WeightBlock) {
    values.set(factor(factors, "set_weight").values);
    return Promise.resolve();
  },
};
