import { UserError } from "../formats/errors.ts";
import { ARCHITECTURE_LABEL, type Component } from "../models/architecture.ts";
import type { Checkpoint, Weight } from "../models/checkpoint.ts";
import { kohyaModules } from "./kohya-names.ts";
import type { ModuleTarget } from "./module-index.ts";
import type { Finding } from "./update.ts";

/** A tensor of a checkpoint, or some whole rows of one. */
export interface TensorRows {
  readonly weight: Weight;
  readonly shape: readonly number[];
  /** Bytes from the start of the weight's file. */
  readonly offset: number;
  readonly length: number;
}

/** The same tensor of a module in two checkpoints. */
export interface TensorPair {
  readonly base: TensorRows;
  readonly tuned: TensorRows;
}

/** A module that both checkpoints have, under kohya's name. */
export interface ModulePair {
  readonly name: string;
  readonly component: Component;
  readonly weight: TensorPair;
  readonly bias?: TensorPair;
  /** Why a change of its weight cannot stand in a LoRA; undefined where it can. */
  readonly misfit?: string;
}

export interface ModulePairs {
  readonly pairs: readonly ModulePair[];
  /** Modules and components that one of the two does not have. */
  readonly missing: readonly Finding[];
}

/**
 * The modules of two checkpoints of one model, whatever the layouts of the two: rows of a fused weight stand against a weight of
 * its own. Throws "lora.wrongArchitecture" where the architectures or shapes differ, "checkpoint.incomplete" where none of the
 * components is in both.
 */
export function pairModules(base: Checkpoint, tuned: Checkpoint, components: readonly Component[] | undefined): ModulePairs {
  if (base.architecture !== tuned.architecture) {
    const [one, other] = [ARCHITECTURE_LABEL[base.architecture], ARCHITECTURE_LABEL[tuned.architecture]];
    throw new UserError(
      "lora.wrongArchitecture",
      `${base.path} is ${one}, but ${tuned.path} is ${other}. Give two checkpoints of one architecture.`,
    );
  }
  const theirs = kohyaModules(tuned.architecture, tuned.configuration);
  const pairs: ModulePair[] = [];
  const missing: Finding[] = [];
  for (const [name, target] of kohyaModules(base.architecture, base.configuration)) {
    const { component } = target;
    if (components && !components.includes(component)) continue;
    const pair = pairModule(base, tuned, name, target, theirs.get(name));
    if (pair) pairs.push(pair);
    else missing.push({ name, reason: "only one of the checkpoints has it" });
  }
  if (pairs.length > 0) return { pairs, missing };
  const wanted = components ? components.join(", ") : "a UNet or text encoder";
  throw new UserError("checkpoint.incomplete", `${base.path} and ${tuned.path} do not both have ${wanted}. Give two complete checkpoints.`);
}

function pairModule(
  base: Checkpoint,
  tuned: Checkpoint,
  name: string,
  ours: ModuleTarget,
  theirs: ModuleTarget | undefined,
): ModulePair | undefined {
  const weight = theirs && pairTensors(base, tuned, name, [ours, ours.weight], [theirs, theirs.weight]);
  if (!weight) return undefined;
  const bias =
    ours.bias === undefined || theirs.bias === undefined
      ? undefined
      : pairTensors(base, tuned, name, [ours, ours.bias], [theirs, theirs.bias]);
  const misfit = misfitOf(name, ours, theirs);
  return { name, component: ours.component, weight, ...(bias ? { bias } : {}), ...(misfit === undefined ? {} : { misfit }) };
}

function misfitOf(name: string, ours: ModuleTarget, theirs: ModuleTarget): string | undefined {
  if (/_embeddings_(token|position)_embedding$/.test(name)) return "it is an embedding, not a linear layer or a convolution";
  return ours.transposed || theirs.transposed ? "a checkpoint holds it transposed" : undefined;
}

function pairTensors(
  base: Checkpoint,
  tuned: Checkpoint,
  module: string,
  [ourTarget, ourName]: readonly [ModuleTarget, string],
  [theirTarget, theirName]: readonly [ModuleTarget, string],
): TensorPair | undefined {
  const [ours, theirs] = [rowsOf(base, ourTarget, ourName), rowsOf(tuned, theirTarget, theirName)];
  if (!ours || !theirs) return undefined;
  if (withoutOnes(ours.shape) === withoutOnes(theirs.shape)) return { base: ours, tuned: theirs };
  throw new UserError(
    "lora.wrongArchitecture",
    `"${module}" has shape [${ours.shape.join(", ")}] in ${base.path}, but [${theirs.shape.join(", ")}] in ${tuned.path}. ` +
      "Give two checkpoints of one model.",
  );
}

/** A linear layer and a 1×1 convolution are the same matrix. */
function withoutOnes(shape: readonly number[]): string {
  return shape.filter((size, index) => index < 2 || size !== 1).join();
}

function rowsOf(checkpoint: Checkpoint, { component, rows }: ModuleTarget, name: string): TensorRows | undefined {
  const weight = checkpoint.components.get(component)?.get(name);
  if (!weight) return undefined;
  const { shape, offset, length } = weight;
  if (!rows) return { weight, shape, offset, length };
  const rowBytes = length / shape[0]!;
  return {
    weight,
    shape: [rows.end - rows.start, ...shape.slice(1)],
    offset: offset + rows.start * rowBytes,
    length: (rows.end - rows.start) * rowBytes,
  };
}
