import { DeltaFile, type StoredChange } from "../formats/delta-file.ts";
import { throwIfCancelled, UserError } from "../formats/errors.ts";
import { findNonFinite } from "../formats/numbers.ts";
import type { BaseDescription } from "./base.ts";
import type { Delta, WeightChange } from "./delta.ts";
import { matrixSize } from "./merge.ts";
import type { Finding } from "./update.ts";

/** Gives the base's values of a weight; only version 1 files need it. */
export type BaseReader = (name: string) => Promise<Float32Array>;

export interface ReadDelta {
  readonly delta: Delta;
  /** Weights of the file that cannot be changed in this engine, with the reason. */
  readonly unmatched: readonly Finding[];
}

/**
 * Reads a delta file for an engine. Version 2 holds changes; version 1 holds whole modified weights, from which the base's are taken.
 * Throws "delta.wrongBase" where the file was made for another checkpoint, "delta.invalid", "lora.noChange" where no weight of it
 * can be changed in this engine, and what `DeltaFile.open` throws.
 */
export async function readDelta(path: string, base: BaseDescription, readBase: BaseReader, signal?: AbortSignal): Promise<ReadDelta> {
  const file = await DeltaFile.open(path);
  try {
    checkBase(file, base);
    const shapes = new Map(base.weights.map(({ name, shape }) => [name, shape]));
    const changes = new Map<string, WeightChange & { readonly shape: readonly number[] }>();
    const unmatched: Finding[] = [];
    for (const [name, stored] of file.changes) {
      throwIfCancelled(signal);
      const shape = shapes.get(name);
      const reason = shape ? misfit(stored, shape) : "the engine has no weight of that name that can be changed";
      if (!shape || reason !== undefined) {
        unmatched.push({ name, reason: reason! });
        continue;
      }
      const change = await readChange(file, name, stored, readBase);
      if (isFinite(change)) changes.set(name, { ...change, shape });
      else unmatched.push({ name, reason: "it has NaN or infinite values, so it is left out" });
    }
    if (changes.size === 0) throw nothingFits(path, base, unmatched);
    const { loraFile = path, loraStrength: strength = 1 } = file.metadata;
    const delta = { file: path, architecture: base.architecture, baseFingerprint: base.fingerprint, loraFile, strength, changes };
    return { delta, unmatched };
  } finally {
    await file.close();
  }
}

/** Version 1 files of other tools say nothing that could be checked here; there the shapes have to do. */
function checkBase({ path, metadata }: DeltaFile, base: BaseDescription): void {
  const { baseFingerprint, baseEngine } = metadata;
  if (baseFingerprint === undefined || baseFingerprint === base.fingerprint) return;
  const short = (fingerprint: string) => fingerprint.slice(0, 12);
  throw new UserError(
    "delta.wrongBase",
    `${path} was made for the checkpoint of "${baseEngine ?? "another engine"}" (${short(baseFingerprint)}…), ` +
      `not for that of "${base.name}" (${short(base.fingerprint)}…). Make the delta again from its LoRA, for "${base.name}".`,
  );
}

/** Why what is stored cannot change a weight of this shape; undefined where it can. */
function misfit(stored: StoredChange, shape: readonly number[]): string | undefined {
  if (stored.kind === "factors") return `its factors (${Array.from(stored.factors.keys()).join(", ")}) are of a kind that is not supported`;
  if (stored.kind !== "lowRank") {
    const { shape: found } = stored.values;
    return found.join() === shape.join() ? undefined : `it has shape [${found.join(", ")}], the engine's weight [${shape.join(", ")}]`;
  }
  const { rows, columns } = matrixSize(shape);
  const [changedRows, changedColumns] = [stored.up.shape[0], stored.down.shape[1]];
  return changedRows === rows && changedColumns === columns
    ? undefined
    : `it changes a matrix of ${changedRows} × ${changedColumns}, the engine's weight is one of ${rows} × ${columns}`;
}

async function readChange(file: DeltaFile, name: string, stored: StoredChange, readBase: BaseReader): Promise<WeightChange> {
  if (stored.kind === "lowRank") {
    return { kind: "lowRank", rank: stored.rank, up: await file.read(stored.up), down: await file.read(stored.down) };
  }
  if (stored.kind === "factors") throw new Error("Factors of other kinds have been let through.");
  const values = await file.read(stored.values);
  if (stored.kind === "fullWeights") {
    const base = await readBase(name);
    for (let i = 0; i < values.length; i++) values[i]! -= base[i]!;
  }
  return { kind: "dense", values };
}

function isFinite(change: WeightChange): boolean {
  const tensors = change.kind === "lowRank" ? [change.up, change.down] : [change.values];
  return tensors.every((values) => {
    const { nan, inf } = findNonFinite(values);
    return nan + inf === 0;
  });
}

function nothingFits(path: string, base: BaseDescription, unmatched: readonly Finding[]): UserError {
  const [first] = unmatched;
  const reason = first ? `of ${unmatched.length} changes none fits ("${first.name}": ${first.reason})` : "it holds no change";
  return new UserError("lora.noChange", `${path} would change nothing in "${base.name}": ${reason}. Make the delta again for this engine.`);
}
