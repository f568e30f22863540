import { ARCHITECTURE_LABEL } from "../models/architecture.ts";
import type { BaseDescription, RefittableBaseWeight } from "./base.ts";
import { lowRankMisfit } from "./low-rank.ts";
import type { LoraFile } from "./lora-file.ts";
import { ModuleIndex, type ModuleTarget } from "./module-index.ts";
import type { Finding, LoraUpdate } from "./update.ts";

/** An update and the weight, or rows of it, that it changes. */
export interface MatchedUpdate {
  readonly update: LoraUpdate;
  readonly weight: RefittableBaseWeight;
  /** First row changed; other than 0 only where modules share a fused weight. */
  readonly row: number;
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
    const weight = weights.get(target.weight);
    const place = `${target.weight} ${target.rows?.start ?? 0}`;
    const other = takenBy.get(place);
    const reason = refusal(update, target, weight, other, base);
    if (!weight || reason !== undefined) {
      unmatched.push({ name: module, reason: reason! });
      if (other !== undefined) suspicious.push({ name: module, reason: reason! });
      continue;
    }
    takenBy.set(place, module);
    matched.push({ update, weight, row: target.rows?.start ?? 0 });
  }
  return { matched, unmatched, suspicious };
}

/** Why a module that is known cannot be changed; undefined where it can. */
function refusal(
  update: LoraUpdate,
  { weight: name, component, rows, transposed }: ModuleTarget,
  weight: RefittableBaseWeight | undefined,
  takenBy: string | undefined,
  base: BaseDescription,
): string | undefined {
  if (!weight) {
    const hasComponent = base.weights.some((each) => each.component === component);
    return hasComponent ? `the engine cannot change ${name}` : `the engine has no ${component}`;
  }
  if (transposed) return `${name} is stored transposed, which is not supported`;
  if (takenBy !== undefined) return `the file has this module already as "${takenBy}", which is used`;
  return lowRankMisfit(update, weight.shape, rows && rows.end - rows.start);
}
