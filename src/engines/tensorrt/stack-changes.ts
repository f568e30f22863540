import { join } from "node:path";
import type { RefittableWeight } from "../../formats/engine-bundle.ts";
import { UserError } from "../../formats/errors.ts";
import type { WeightDtype } from "../../formats/numbers.ts";
import { elementCount } from "../../formats/tensor.ts";
import type { LinearChange } from "../../lora/delta.ts";
import { matrixSize } from "../../lora/merge.ts";
import type { PlannedMerge } from "../../lora/stack.ts";
import { numbersOf } from "./native-numbers.ts";
import type { NativeChange, NativeTerm, NativeWeight } from "./native.ts";
import { denseValues, lowRankFactors } from "./stored-delta.ts";
import { weightProgram } from "./weight-program.ts";

/** The bundle's list of changeable weights as the native side takes it. */
export function nativeWeights(folder: string, refittable: readonly RefittableWeight[]): NativeWeight[] {
  return refittable.map(({ name, shape, dtype, file, offset }) => {
    return { name, dtype: floatDtype(name, dtype), ...matrixSize(shape), file: join(folder, file), offset };
  });
}

function floatDtype(name: string, dtype: string): WeightDtype {
  if (dtype === "F32" || dtype === "F16" || dtype === "BF16") return dtype;
  throw new UserError("bundle.invalid", `The weight "${name}" has dtype ${dtype}, which cannot be changed. Export the checkpoint again.`);
}

/**
 * Planned merges as changes for the GPU, of which only the factors travel. Products and sums have a kernel of their own; a weight with a change of
 * another kind (DoRA, LoKr, …) gets a program.
 */
export function toNativeChanges(weights: ReadonlyMap<string, RefittableWeight>, planned: readonly PlannedMerge[]): NativeChange[] {
  return planned.map(({ name, shape, terms }) => {
    const weight = weights.get(name)!;
    if (elementCount(shape) !== elementCount(weight.shape)) {
      throw new UserError(
        "delta.invalid",
        `The delta changes ${name} as [${shape.join(", ")}]; the engine has it as [${weight.shape.join(", ")}]. Make the delta again for this engine.`,
      );
    }
    const linear = terms.map(({ change, scale }) => (change.kind === "factored" ? undefined : toTerm(change, scale)));
    if (linear.every((term) => term !== undefined)) return { name, terms: linear };
    return { name, terms: [], program: weightProgram(weight.shape, terms) };
  });
}

function toTerm(change: LinearChange, scale: number): NativeTerm {
  if (change.kind === "dense") return { up: numbersOf(denseValues(change)), rank: 0, scale };
  const { up, down } = lowRankFactors(change);
  return { up: numbersOf(up), down: numbersOf(down), rank: change.rank, scale };
}
