import { basename } from "node:path";
import { writeDeltaFile, type ChangeSource, type ChangeTensor } from "../formats/delta-writer.ts";
import { throwIfCancelled, UserError } from "../formats/errors.ts";
import { fromFloat32, type WeightDtype } from "../formats/numbers.ts";
import { ARCHITECTURE_LABEL } from "../models/architecture.ts";
import type { BaseDescription } from "./base.ts";
import type { Delta } from "./delta.ts";
import { largestMagnitude, scalesExactly } from "./factor-values.ts";
import { refuseOtherArchitecture } from "./lora-architecture.ts";
import type { LoraFile } from "./lora-file.ts";
import { matchUpdates, type MatchedUpdate, type UnmatchedModule } from "./match-updates.ts";
import type { WeightArithmetic } from "./merge.ts";
import { PreparedWeight, type WeightPart } from "./prepared-weight.ts";
import type { Finding } from "./update.ts";

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
  const matched: string[] = [];
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
      matched.push(module);
      if (part) partsOf.set(match.weight, [...(partsOf.get(match.weight) ?? []), part]);
      else if (match.update.scale !== 0) zero.push(module);
    }
    onProgress?.((index + 1) / matches.matched.length);
  }
  if (zero[0] !== undefined) suspicious.push({ name: zero[0], reason: zeroReason(zero.length) });
  if (partsOf.size === 0) throw noChange(lora, base, matched, unmatched);
  const weights = Array.from(partsOf, ([{ name, shape }, parts]) => new PreparedWeight(name, shape, parts));
  return { lora, base, strength, report: { matched, unmatched, suspicious }, weights };
}

/** Reads an update's factors once: a part of a weight's change, undefined where it is no change, a string that says why not. */
async function examine(lora: LoraFile, { update, row }: MatchedUpdate, strength: number): Promise<WeightPart | string | undefined> {
  const up = await lora.readBytes(update.up);
  const down = await lora.readBytes(update.down);
  const scale = update.scale * strength;
  const largest = { up: largestMagnitude(up, update.up.dtype), down: largestMagnitude(down, update.down.dtype) };
  for (const factor of ["up", "down"] as const) {
    if (!Number.isFinite(largest[factor])) return `"${update[factor].name}" has NaN or infinite values, so it is left out`;
  }
  if (!Number.isFinite(Math.fround(largest.up * scale))) return `its scale of ${scale} is too large`;
  if (scale === 0 || largest.up === 0 || largest.down === 0) return undefined;
  return { update, row, scale, exact: scalesExactly(up, update.up.dtype, scale) };
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
  /** SHA-256 of the LoRA's file, to be kept in the delta's metadata. */
  readonly loraHash?: string;
}

/**
 * Writes a prepared delta (version 2, formats/delta-writer.ts), one factor in memory at a time, atomically.
 * Throws what `writeDeltaFile` throws.
 */
export async function writeDelta(
  prepared: PreparedDelta,
  path: string,
  { dense, loraHash, signal, onProgress }: WriteDeltaOptions = {},
): Promise<void> {
  const { lora, base, strength, weights } = prepared;
  const metadata = {
    baseEngine: base.name,
    baseFingerprint: base.fingerprint,
    architecture: base.architecture,
    loraFile: basename(lora.path),
    loraStrength: strength,
    ...(loraHash !== undefined && { loraHash }),
  };
  const changes = weights.map((weight) => (dense ? denseSource(lora, weight, dense) : lowRankSource(lora, weight)));
  await writeDeltaFile(path, metadata, changes, {
    signal,
    onProgress: onProgress && ((done, total) => onProgress(done / total)),
  });
}

function lowRankSource(lora: LoraFile, weight: PreparedWeight): ChangeSource {
  const { name, rows, columns, rank, upDtype, downDtype } = weight;
  return {
    name,
    kind: "lowRank",
    up: tensor(upDtype, [rows, rank], () => weight.readUp(lora, upDtype)),
    down: tensor(downDtype, [rank, columns], () => weight.readDown(lora, downDtype)),
  };
}

function denseSource(lora: LoraFile, weight: PreparedWeight, arithmetic: WeightArithmetic): ChangeSource {
  const { name, shape, rows, columns } = weight;
  const values = async () => {
    const out = new Float32Array(rows * columns);
    const terms = [{ change: await weight.readChange(lora), scale: 1 }];
    await arithmetic.merge([{ base: new Float32Array(out.length), rows, columns, terms, out }]);
    return out;
  };
  return { name, kind: "dense", values: tensor("F32", shape, values) };
}

function tensor(dtype: WeightDtype, shape: readonly number[], read: () => Promise<Uint16Array | Float32Array>): ChangeTensor {
  const chunks = async function* () {
    const elements = await read();
    yield elements instanceof Float32Array
      ? fromFloat32(elements, "F32")
      : new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength);
  };
  return { dtype, shape, chunks };
}

/** The delta in memory, its factors in fp32: what `writeDelta` would write, read back. */
export async function loadPreparedDelta({ lora, base, strength, weights }: PreparedDelta, signal?: AbortSignal): Promise<Delta> {
  const changes = new Map<string, Awaited<ReturnType<PreparedWeight["readChange"]>> & { readonly shape: readonly number[] }>();
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
