import { DeltaFile, type StoredChange } from "../formats/delta-file.ts";
import { throwIfCancelled, UserError } from "../formats/errors.ts";
import { findNonFinite } from "../formats/numbers.ts";
import type { BaseDescription } from "./base.ts";
import type { TensorEntry } from "../formats/safetensors.ts";
import type { Delta, FactoredChange, WeightChange } from "./delta.ts";
import { partMisfit, storedParts } from "./delta-parts.ts";
import type { Factor } from "./factors.ts";
import { shapesOf } from "./kinds/scale.ts";
import { matrixSize } from "./merge.ts";
import type { Finding } from "./update.ts";

/** Gives the base's values of a weight; only version 1 files need it. */
export type BaseReader = (name: string) => Promise<Float32Array>;

export interface ReadDelta {
  readonly delta: Delta;
  /** Weights of the file that cannot be changed in this engine, with the reason. */
  readonly unmatched: readonly Finding[];
  /** What is odd about the file, though it can be used. */
  readonly suspicious: readonly Finding[];
}

/**
 * A delta file opened for an engine: which weights it changes is known by their shapes, the changes are read one at a time. Version 2
 * holds changes; version 1 holds whole modified weights, from which the base's are taken.
 */
export class OpenedDelta {
  readonly file: DeltaFile;
  /** The weights that it changes, as far as shapes tell -> their shapes. */
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  /** Weights of the file that cannot be changed in this engine, with the reason; grows while changes are read. */
  readonly unmatched: Finding[];
  readonly #base: BaseDescription;
  readonly #readBase: BaseReader;
  readonly #unrelated: string[] = [];
  #usable = 0;

  private constructor(file: DeltaFile, base: BaseDescription, readBase: BaseReader) {
    checkBase(file, base);
    this.file = file;
    this.#base = base;
    this.#readBase = readBase;
    this.unmatched = [];
    const known = new Map(base.weights.map(({ name, shape }) => [name, shape]));
    const shapes = new Map<string, readonly number[]>();
    for (const [name, stored] of file.changes) {
      const shape = known.get(name);
      const reason = shape ? misfit(stored, shape) : "the engine has no weight of that name that can be changed";
      if (shape && reason === undefined) shapes.set(name, shape);
      else this.unmatched.push({ name, reason: reason! });
    }
    this.shapes = shapes;
    if (shapes.size === 0) throw nothingFits(file.path, base, this.unmatched);
  }

  /**
   * Throws "delta.wrongBase" where the file was made for another checkpoint, "delta.invalid", "lora.noChange" where no weight of it
   * can be changed in this engine, and what `DeltaFile.open` throws.
   */
  static async open(path: string, base: BaseDescription, readBase: BaseReader): Promise<OpenedDelta> {
    const file = await DeltaFile.open(path);
    try {
      return new OpenedDelta(file, base, readBase);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** The change of one of `shapes`; undefined where it cannot be used, which `unmatched` then says. */
  async read(name: string): Promise<WeightChange | undefined> {
    const [stored, shape] = [this.file.changes.get(name)!, this.shapes.get(name)!];
    const original = stored.kind === "fullWeights" ? await this.#readBase(name) : undefined;
    const change = await readChange(this.file, stored, original);
    if (original && change.kind === "dense" && isUnrelated(change.values, original)) this.#unrelated.push(name);
    const reason = unusable(change, shape);
    if (reason === undefined) {
      this.#usable++;
      return change;
    }
    this.unmatched.push({ name, reason });
    return undefined;
  }

  /** What is odd about the file, once all changes have been read. Throws "lora.noChange" where none could be used. */
  findings(): readonly Finding[] {
    if (this.#usable === 0) throw nothingFits(this.file.path, this.#base, this.unmatched);
    return strangeBase(this.#unrelated, this.#usable);
  }

  async close(): Promise<void> {
    await this.file.close();
  }
}

/** Reads a whole delta file for an engine. Throws what `OpenedDelta.open` and `OpenedDelta.findings` throw. */
export async function readDelta(path: string, base: BaseDescription, readBase: BaseReader, signal?: AbortSignal): Promise<ReadDelta> {
  const opened = await OpenedDelta.open(path, base, readBase);
  try {
    const changes = new Map<string, WeightChange & { readonly shape: readonly number[] }>();
    for (const [name, shape] of opened.shapes) {
      throwIfCancelled(signal);
      const change = await opened.read(name);
      if (change) changes.set(name, { ...change, shape });
    }
    const suspicious = opened.findings();
    const { loraFile = path, loraStrength: strength = 1 } = opened.file.metadata;
    const delta = { file: path, architecture: base.architecture, baseFingerprint: base.fingerprint, loraFile, strength, changes };
    return { delta, unmatched: opened.unmatched, suspicious };
  } finally {
    await opened.close();
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
  // Looked at when they have been read: what is a number and what a matrix is known then.
  if (stored.kind === "factors") return undefined;
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

/** A change's values. `base` is the base's weight, which whole weights (version 1) are taken from. */
export async function readChange(file: DeltaFile, stored: StoredChange, base: Float32Array | undefined): Promise<WeightChange> {
  if (stored.kind === "lowRank") {
    return { kind: "lowRank", rank: stored.rank, up: await file.read(stored.up), down: await file.read(stored.down) };
  }
  if (stored.kind === "factors") return readFactors(file, stored.factors);
  const values = await file.read(stored.values);
  if (base) for (let i = 0; i < values.length; i++) values[i]! -= base[i]!;
  return { kind: "dense", values };
}

/** Whether a weight is as far from the base's as one of another model is: independent ones differ by √2 of their norm. */
function isUnrelated(change: Float32Array, base: Float32Array): boolean {
  const norm = (values: Float32Array) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  return norm(change) > norm(base);
}

/** What whole weights of version 1, which names no base, tell about it. */
function strangeBase(unrelated: readonly string[], count: number): Finding[] {
  if (unrelated.length * 2 < count || unrelated[0] === undefined) return [];
  const reason = `${unrelated.length} of its ${count} weights have nothing in common with this engine's: it was made for another checkpoint`;
  return [{ name: unrelated[0], reason }];
}

async function readFactors(file: DeltaFile, stored: ReadonlyMap<string, TensorEntry>): Promise<FactoredChange> {
  const parts = [];
  for (const { entries, rows } of storedParts(stored)) {
    const factors = new Map<string, Factor>();
    for (const [name, entry] of entries) factors.set(name, { shape: entry.shape, values: await file.read(entry) });
    parts.push({ factors, ...(rows ? { rows } : {}) });
  }
  return { kind: "factored", parts, strength: file.metadata.loraStrength ?? 1 };
}

/** Why a change that has been read cannot be applied; undefined where it can. */
function unusable(change: WeightChange, shape: readonly number[]): string | undefined {
  if (!isFinite(change)) return "it has NaN or infinite values, so it is left out";
  if (change.kind !== "factored") return undefined;
  for (const { factors, rows } of change.parts) {
    const problem = partMisfit(shapesOf(factors), rows, shape);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function isFinite(change: WeightChange): boolean {
  return tensorsOf(change).every((values) => {
    const { nan, inf } = findNonFinite(values);
    return nan + inf === 0;
  });
}

function tensorsOf(change: WeightChange): Float32Array[] {
  if (change.kind === "lowRank") return [change.up, change.down];
  if (change.kind === "dense") return [change.values];
  return change.parts.flatMap(({ factors }) => Array.from(factors.values(), ({ values }) => values));
}

function nothingFits(path: string, base: BaseDescription, unmatched: readonly Finding[]): UserError {
  const [first] = unmatched;
  const reason = first ? `of ${unmatched.length} changes none fits ("${first.name}": ${first.reason})` : "it holds no change";
  return new UserError("lora.noChange", `${path} would change nothing in "${base.name}": ${reason}. Make the delta again for this engine.`);
}
