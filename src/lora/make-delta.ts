import { basename } from "node:path";
import { writeDeltaFile, type ChangeSource } from "../formats/delta-writer.ts";
import { throwIfCancelled, UserError } from "../formats/errors.ts";
import type { TensorEntry } from "../formats/safetensors.ts";
import { elementCount } from "../formats/tensor.ts";
import { ARCHITECTURE_LABEL } from "../models/architecture.ts";
import type { BaseDescription } from "./base.ts";
import type { Delta, WeightChange } from "./delta.ts";
import { largestMagnitude, scalesExactly } from "./factor-values.ts";
import { isDecomposed } from "./kinds/kinds.ts";
import { refuseOtherArchitecture } from "./lora-architecture.ts";
import type { LoraFile } from "./lora-file.ts";
import { matchUpdates, type MatchedUpdate, type UnmatchedModule } from "./match-updates.ts";
import { matrixSize, type WeightArithmetic } from "./merge.ts";
import { lazyTensor, prepareWeight, type PreparedWeight, type WeightPart } from "./prepared-weight.ts";
import type { BaseReader } from "./read-delta.ts";
import { isLinearChange } from "./stack-arithmetic.ts";
import { entriesOf, factorShapes, type Finding, type LoraUpdate } from "./update.ts";

/** What became of a LoRA's modules; all names are the file's own. */
export interface DeltaReport {
  readonly matched: readonly string[];
  readonly unmatched: readonly UnmatchedModule[];
  /** What is odd about the file, though it can be used. */
  readonly suspicious: readonly Finding[];
}

/** A LoRA whose every update has found its weight; the factors are still in the LoRA's file, which must stay open. */
export interface PreparedDelta {
  readonly lora: LoraFile;
  readonly base: BaseDescription;
  readonly strength: number;
  readonly report: DeltaReport;
  readonly weights: readonly PreparedWeight[];
}

export interface DeltaProgress {
  readonly signal?: AbortSignal | undefined;
  /** Called with a fraction from 0 to 1. */
  readonly onProgress?: ((fraction: number) => void) | undefined;
}

/**
 * Matches a LoRA's updates with an engine's weights and looks at every factor once; only one is in memory at a time.
 * @param strength multiplied into the change, beside alpha
 * Throws "lora.wrongArchitecture" for a LoRA of another model, "lora.noChange" where nothing would be changed, "option.invalid" for a
 * strength that is no number, "cancelled".
 */
export async function prepareDelta(
  lora: LoraFile,
  base: BaseDescription,
  strength = 1,
  { signal, onProgress }: DeltaProgress = {},
): Promise<PreparedDelta> {
  if (!Number.isFinite(strength)) throw new UserError("option.invalid", `The strength ${strength} is not a finite number.`);
  if (strength === 0) throw new UserError("lora.noChange", `${lora.path} would change nothing at strength 0. Give another strength.`);
  refuseOtherArchitecture(lora, base);
  const matches = matchUpdates(lora, base);
  const unmatched = [...matches.unmatched];
  const suspicious = [...lora.suspicious, ...matches.suspicious];
  const matched = new Set<string>();
  const zero: string[] = [];
  const partsOf = new Map<MatchedUpdate["weight"], WeightPart[]>();
  for (const [index, match] of matches.matched.entries()) {
    throwIfCancelled(signal);
    const { module } = match.update;
    const part = await examine(lora, match, strength);
    if (typeof part === "string") {
      unmatched.push({ name: module, reason: part });
      suspicious.push({ name: module, reason: part });
    } else {
      matched.add(module);
      if (part) partsOf.set(match.weight, [...(partsOf.get(match.weight) ?? []), part]);
      else if (match.update.alpha !== 0) zero.push(module);
    }
    onProgress?.((index + 1) / matches.matched.length);
  }
  if (zero[0] !== undefined) suspicious.push({ name: zero[0], reason: zeroReason(zero.length) });
  if (partsOf.size === 0) throw noChange(lora, base, [...matched], unmatched);
  const weights = Array.from(partsOf, ([{ name, shape }, parts]) => prepareWeight(name, shape, parts, strength));
  return { lora, base, strength, report: { matched: [...matched], unmatched, suspicious }, weights };
}

/** Reads an update's factors once: a part of a weight's change, undefined where it is no change, a string that says why not. */
async function examine(lora: LoraFile, { update, rows }: MatchedUpdate, strength: number): Promise<WeightPart | string | undefined> {
  const largest = new Map<string, number>();
  // Of the factor that takes the scale.
  let scaled: { readonly bytes: Uint8Array; readonly entry: TensorEntry } | undefined;
  for (const entry of entriesOf(update)) {
    const bytes = await lora.readBytes(entry);
    const magnitude = largestMagnitude(bytes, entry.dtype);
    if (!Number.isFinite(magnitude)) return `"${entry.name}" has NaN or infinite values, so it is left out`;
    largest.set(entry.name, magnitude);
    scaled ??= { bytes, entry };
  }
  if (update.kind === "factored") {
    const zero = update.is.multiplied.some((name) => largest.get(update.factors.get(name)?.name ?? "") === 0);
    const changes = !zero && update.numbers.get("alpha") !== 0;
    return changes || isDecomposed(factorShapes(update)) || update.is.apply ? partOf(update, rows, 1, true) : undefined;
  }
  const scale = update.scale * strength;
  if (!Number.isFinite(Math.fround(largest.get(scaled!.entry.name)! * scale))) return `its scale of ${scale} is too large`;
  if (scale === 0 || Array.from(largest.values()).includes(0)) return undefined;
  return partOf(update, rows, scale, scalesExactly(scaled!.bytes, scaled!.entry.dtype, scale));
}

function partOf(update: LoraUpdate, rows: MatchedUpdate["rows"], scale: number, exact: boolean): WeightPart {
  return { update, scale, exact, ...(rows ? { rows } : {}) };
}

/** One finding for all of them: trainers leave the last text encoder layer, which no pipeline uses, at zero in many a LoRA. */
function zeroReason(count: number): string {
  return count === 1
    ? "a factor of it is all zero, so it changes nothing"
    : `a factor of it is all zero, as in ${count - 1} other modules; they change nothing`;
}

function noChange(lora: LoraFile, base: BaseDescription, matched: readonly string[], unmatched: readonly UnmatchedModule[]): UserError {
  const [first] = unmatched;
  const label = ARCHITECTURE_LABEL[base.architecture];
  const reason =
    matched.length > 0 || !first
      ? "all its changes are zero"
      : `none of its ${unmatched.length} modules can be applied (of "${first.name}": ${first.reason})`;
  return new UserError(
    "lora.noChange",
    `${lora.path} would change nothing in "${base.name}" (${label}): ${reason}. Use another LoRA, or save this one again.`,
  );
}

export interface WriteDeltaOptions extends DeltaProgress {
  /** Stores the changes themselves, in fp32, instead of their factors; computed with this arithmetic. */
  readonly dense?: WeightArithmetic | undefined;
  /** The base's values of a weight: a change that depends on them can be stored dense with them only. */
  readonly readBase?: BaseReader | undefined;
  /** SHA-256 of the LoRA's file, to be kept in the delta's metadata. */
  readonly loraHash?: string;
}

/**
 * Writes a prepared delta (version 2, formats/delta-writer.ts), one factor in memory at a time, atomically. A dense change that is not
 * linear in the strength is the one at the delta's own strength, exact there only.
 * Throws what `writeDeltaFile` throws.
 */
export async function writeDelta(
  prepared: PreparedDelta,
  path: string,
  { dense, readBase, loraHash, signal, onProgress }: WriteDeltaOptions = {},
): Promise<void> {
  const { lora, base, strength, weights } = prepared;
  const metadata = {
    baseEngine: base.name,
    baseFingerprint: base.fingerprint,
    architecture: base.architecture,
    loraFile: basename(lora.path),
    loraStrength: strength,
    kinds: deltaKinds(prepared),
    ...(loraHash !== undefined && { loraHash }),
    ...(dense && { dense: true }),
  };
  const changes = weights.map((weight) => (dense ? denseSource(lora, weight, dense, readBase) : weight.source(lora)));
  await writeDeltaFile(path, metadata, changes, {
    signal,
    onProgress: onProgress && ((done, total) => onProgress(done / total)),
  });
}

/** The kinds of update in a delta, as reports name them, in order of the alphabet. */
export function deltaKinds({ weights }: PreparedDelta): string[] {
  return Array.from(new Set(weights.flatMap(({ labels }) => labels))).toSorted();
}

function denseSource(lora: LoraFile, weight: PreparedWeight, arithmetic: WeightArithmetic, readBase: BaseReader | undefined): ChangeSource {
  const { name, shape } = weight;
  const values = async () => {
    const change = await weight.readChange(lora);
    const isLinear = isLinearChange(change);
    if (!isLinear && !readBase) throw new Error(`The change of ${name} depends on the base, which is not given.`);
    const base = isLinear ? new Float32Array(elementCount(shape)) : await readBase!(name);
    const out = new Float32Array(base.length);
    await arithmetic.merge([{ base, ...matrixSize(shape), shape, terms: [{ change, scale: 1 }], out }]);
    if (!isLinear) for (let i = 0; i < out.length; i++) out[i]! -= base[i]!;
    return out;
  };
  return { name, kind: "dense", values: lazyTensor("F32", shape, values) };
}

/** The delta in memory, its factors in fp32: what `writeDelta` would write, read back. */
export async function loadPreparedDelta({ lora, base, strength, weights }: PreparedDelta, signal?: AbortSignal): Promise<Delta> {
  const changes = new Map<string, WeightChange & { readonly shape: readonly number[] }>();
  for (const weight of weights) {
    throwIfCancelled(signal);
    changes.set(weight.name, { ...(await weight.readChange(lora)), shape: weight.shape });
  }
  return {
    file: lora.path,
    architecture: base.architecture,
    baseFingerprint: base.fingerprint,
    loraFile: basename(lora.path),
    strength,
    changes,
  };
}
