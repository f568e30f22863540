import { join } from "node:path";
import type { RefittableWeight } from "../../formats/engine-bundle.ts";
import { UserError } from "../../formats/errors.ts";
import { fromFloat32, isNumericDtype, type WeightDtype } from "../../formats/numbers.ts";
import { elementCount } from "../../formats/tensor.ts";
import type { LinearChange } from "../../lora/delta.ts";
import { matrixSize, type WeightArithmetic } from "../../lora/merge.ts";
import type { PlannedMerge } from "../../lora/stack.ts";
import { readBaseWeights } from "../base-weights.ts";
import { isStored } from "./stored-delta.ts";
import type { NativeChange, NativeTerm, NativeWeight } from "./native.ts";

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
 * Planned merges as changes for the GPU. Products and sums are left to it: only their factors travel. A weight with a change of
 * another kind (DoRA, LoKr, …) is computed here from the base's values, and travels whole.
 */
export async function toNativeChanges(
  folder: string,
  weights: ReadonlyMap<string, RefittableWeight>,
  planned: readonly PlannedMerge[],
  arithmetic: WeightArithmetic,
  signal: AbortSignal | undefined,
): Promise<NativeChange[]> {
  const changes: NativeChange[] = [];
  for (const merge of planned) {
    const weight = weights.get(merge.name)!;
    if (elementCount(merge.shape) !== elementCount(weight.shape)) {
      throw new UserError(
        "delta.invalid",
        `The delta changes ${merge.name} as [${merge.shape.join(", ")}]; the engine has it as [${weight.shape.join(", ")}]. Make the delta again for this engine.`,
      );
    }
    const terms = merge.terms.map(({ change, scale }) => (change.kind === "factored" ? undefined : toTerm(change, scale)));
    if (terms.every((term) => term !== undefined)) changes.push({ name: merge.name, terms });
    else changes.push({ name: merge.name, terms: [], values: await mergedHere(folder, weight, merge, arithmetic, signal) });
  }
  return changes;
}

function toTerm(change: LinearChange, scale: number): NativeTerm {
  if (change.kind === "dense") return { up: { data: change.values, dtype: "F32" }, rank: 0, scale };
  if (isStored(change)) return { ...change.stored, rank: change.rank, scale };
  const { up, down, rank } = change;
  return { up: { data: up, dtype: "F32" }, down: { data: down, dtype: "F32" }, rank, scale };
}

async function mergedHere(
  folder: string,
  weight: RefittableWeight,
  { terms }: PlannedMerge,
  arithmetic: WeightArithmetic,
  signal: AbortSignal | undefined,
): Promise<NonNullable<NativeChange["values"]>> {
  const { name, shape, dtype } = weight;
  if (!isNumericDtype(dtype)) throw new UserError("bundle.invalid", `The weight "${name}" has dtype ${dtype}, which cannot be changed.`);
  const [base] = await readBaseWeights(folder, [weight], signal);
  const out = new Float32Array(base!.values.length);
  await arithmetic.merge([{ base: base!.values, ...matrixSize(shape), shape, terms, out }], signal);
  const stored = floatDtype(name, dtype);
  return { data: fromFloat32(out, stored), dtype: stored };
}
