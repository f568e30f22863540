import { ARCHITECTURE_LABEL } from "../models/architecture.ts";
import type { BaseDescription, RefittableBaseWeight } from "./base.ts";
import { blockSize } from "./factors.ts";
import { kindMisfit } from "./kinds/kinds.ts";
import { lowRankMisfit, shapeMisfit } from "./low-rank.ts";
import type { LoraFile } from "./lora-file.ts";
import { ModuleIndex, type ModuleTarget } from "./module-index.ts";
import { factorShapes, type Finding, type LoraUpdate } from "./update.ts";

/** An update and the weight, or rows of it, that it changes. */
export interface MatchedUpdate {
  readonly update: LoraUpdate;
  readonly weight: RefittableBaseWeight;
  /** Rows [start, end) that it changes, where modules share a fused weight. */
  readonly rows?: { readonly start: number; readonly end: number };
}

export interface UnmatchedModule extends Finding {
  /** A name the model does have, where one is near. */
  readonly nearest?: string;
}

export interface Matches {
  readonly matched: readonly MatchedUpdate[];
  readonly unmatched: readonly UnmatchedModule[];
  readonly suspicious: readonly Finding[];
}

/** Unknown modules that a near name is looked for; a file with more of them is of another model. */
const MOST_NEAR_NAMES = 50;

/** Finds the weight of every update. */
export function matchUpdates(lora: LoraFile, base: BaseDescription): Matches {
  const index = new ModuleIndex(base.configuration);
  const weights = new Map(base.weights.map((weight) => [weight.name, weight]));
  const takenBy = new Map<string, string>();
  const matched: MatchedUpdate[] = [];
  const unmatched: UnmatchedModule[] = [...lora.unused];
  const suspicious: Finding[] = [];
  let unknown = 0;
  for (const update of lora.updates) {
    const { module } = update;
    const target = index.find(module);
    if (!target) {
      const nearest = unknown++ < MOST_NEAR_NAMES ? index.nearest(module) : undefined;
      const reason = `no module of this ${ARCHITECTURE_LABEL[base.architecture]} model has that name`;
      unmatched.push({ name: module, reason, ...(nearest === undefined ? {} : { nearest }) });
      continue;
    }
    const name = update.target === "bias" ? target.bias : target.weight;
    const weight = name === undefined ? undefined : weights.get(name);
    // Several updates of one module are one after the other; those of another name for it are not.
    const place = `${name} ${target.rows?.start ?? 0}`;
    const first = takenBy.get(place);
    const other = first === module ? undefined : first;
    const reason = refusal(update, target, weight, other, base);
    if (!weight || reason !== undefined) {
      unmatched.push({ name: module, reason: reason! });
      if (other !== undefined) suspicious.push({ name: module, reason: reason! });
      continue;
    }
    takenBy.set(place, module);
    matched.push({ update, weight, ...(target.rows ? { rows: target.rows } : {}) });
  }
  return { matched, unmatched, suspicious };
}

/** Why a module that is known cannot be changed; undefined where it can. */
function refusal(
  update: LoraUpdate,
  { weight: weightName, bias: biasName, component, rows, transposed }: ModuleTarget,
  weight: RefittableBaseWeight | undefined,
  takenBy: string | undefined,
  base: BaseDescription,
): string | undefined {
  const name = update.target === "bias" ? biasName : weightName;
  if (!weight) {
    const hasComponent = base.weights.some((each) => each.component === component);
    if (!hasComponent) return `the engine has no ${component}`;
    return name === undefined ? "the module has no bias" : `the engine cannot change ${name}`;
  }
  if (transposed) return `${name} is stored transposed, which is not supported`;
  if (takenBy !== undefined) return `the file has this module already as "${takenBy}", which is used`;
  const count = rows && rows.end - rows.start;
  if (update.kind === "lowRank") return lowRankMisfit(update, weight.shape, count);
  if (update.kind === "dense") return shapeMisfit(update.values.shape, weight.shape, count);
  const shape = count === undefined ? weight.shape : [count, ...weight.shape.slice(1)];
  return kindMisfit(update.is, factorShapes(update), blockSize(shape));
}
