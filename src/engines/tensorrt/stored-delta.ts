import { closeSync, openSync, readSync } from "node:fs";
import { DeltaFile, type StoredChange as FileChange } from "../../formats/delta-file.ts";
import { toFloat32, type WeightDtype } from "../../formats/numbers.ts";
import type { TensorEntry } from "../../formats/safetensors.ts";
import { elementCount } from "../../formats/tensor.ts";
import type { BaseDescription } from "../../lora/base.ts";
import type { Delta, DenseChange, FactoredChange, LinearChange, LowRankChange, WeightChange } from "../../lora/delta.ts";
import { partMisfit, storedParts } from "../../lora/delta-parts.ts";
import type { Factor } from "../../lora/factors.ts";
import { matrixSize } from "../../lora/merge.ts";
import type { StoredFactor, StoredNumbers } from "./native-numbers.ts";

/** Whether a change is one of `openStoredDelta`'s. */
function isStored<Change extends LinearChange>(change: Change): change is Change & (StoredLowRank | StoredDense) {
  return "stored" in change;
}

/** The factors of a low-rank change, wherever they stand. */
export function lowRankFactors(change: LowRankChange): { readonly up: Factor; readonly down: Factor } {
  if (isStored(change)) return change.stored;
  const { rank, up, down } = change;
  return { up: { shape: [up.length / rank, rank], values: up }, down: { shape: [rank, down.length / rank], values: down } };
}

/** A dense change's values, wherever they stand. */
export function denseValues(change: DenseChange): Factor {
  return isStored(change) ? change.stored : { shape: [change.values.length], values: change.values };
}

/**
 * Opens a delta file for this base without reading its factors, so that a stack change costs one copy from the page cache to the GPU.
 * Numbers that are not finite are found by the merge. Undefined for a file that needs more than that: of version 1, of another base, or with
 * changes that do not fit; `readDelta` then does what is to be done, or says what is wrong.
 */
export async function openStoredDelta(path: string, base: BaseDescription): Promise<Delta | undefined> {
  const file = await DeltaFile.open(path);
  const reader = new FileReader(path);
  try {
    const { version, metadata } = file;
    if (version !== 2 || metadata.baseFingerprint !== base.fingerprint) return undefined;
    const { loraFile = path, loraStrength: strength = 1 } = metadata;
    const shapes = new Map<string, readonly number[]>();
    for (const { name, shape } of base.weights) shapes.set(name, shape);
    const changes = new Map<string, WeightChange & { readonly shape: readonly number[] }>();
    for (const [name, change] of file.changes) {
      const shape = shapes.get(name);
      const stored = shape && storedChange(reader, change, shape, strength);
      if (!stored) return undefined;
      changes.set(name, Object.assign(stored, { shape }));
    }
    if (changes.size === 0) return undefined;
    return { file: path, architecture: base.architecture, baseFingerprint: base.fingerprint, loraFile, strength, changes };
  } finally {
    reader.close();
    await file.close();
  }
}

function storedChange(reader: FileReader, change: FileChange, shape: readonly number[], strength: number): WeightChange | undefined {
  if (change.kind === "factors") return storedFactors(reader, change.factors, shape, strength);
  if (change.kind !== "lowRank") {
    const values = change.values.shape.join() === shape.join() ? reader.stored(change.values) : undefined;
    return values && storedDense(values);
  }
  const { rows, columns } = matrixSize(shape);
  const up = reader.stored(change.up);
  const down = reader.stored(change.down);
  if (!up || !down || change.up.shape[0] !== rows || change.down.shape[1] !== columns) return undefined;
  return storedLowRank(change.rank, up, down);
}

function storedFactors(
  reader: FileReader,
  stored: ReadonlyMap<string, TensorEntry>,
  shape: readonly number[],
  strength: number,
): FactoredChange | undefined {
  const parts = [];
  for (const { entries, rows } of storedParts(stored)) {
    if (partMisfit(new Map(Array.from(entries, ([name, entry]) => [name, entry.shape])), rows, shape) !== undefined) return undefined;
    const factors = new Map<string, Factor>();
    for (const [name, entry] of entries) {
      const factor = reader.factor(entry);
      if (!factor) return undefined;
      factors.set(name, factor);
    }
    parts.push({ factors, ...(rows ? { rows } : {}) });
  }
  return { kind: "factored", parts, strength };
}

/** Makes factors of a file's tensors: single numbers, which decide what is done, are read at once, the others when they are asked for. */
class FileReader {
  readonly #path: string;
  readonly #handle: number;

  constructor(path: string) {
    this.#path = path;
    this.#handle = openSync(path, "r");
  }

  /** Undefined where the tensor has no weight's dtype. */
  stored({ dtype, offset, shape }: TensorEntry): LazyFactor | undefined {
    if (dtype !== "F32" && dtype !== "F16" && dtype !== "BF16") return undefined;
    return new LazyFactor(shape, { file: this.#path, offset, dtype, count: elementCount(shape) });
  }

  factor(entry: TensorEntry): Factor | undefined {
    const factor = this.stored(entry);
    return factor && factor.stored.count <= 1 ? { shape: entry.shape, values: readAt(this.#handle, factor.stored) } : factor;
  }

  close(): void {
    closeSync(this.#handle);
  }
}

class LazyFactor implements StoredFactor {
  readonly shape: readonly number[];
  readonly stored: StoredNumbers;
  #values: Float32Array | undefined;

  constructor(shape: readonly number[], stored: StoredNumbers) {
    this.shape = shape;
    this.stored = stored;
  }

  get values(): Float32Array {
    return (this.#values ??= readNow(this.stored));
  }
}

type StoredLowRank = LowRankChange & { readonly stored: { readonly up: LazyFactor; readonly down: LazyFactor } };
type StoredDense = DenseChange & { readonly stored: LazyFactor };

/** An object with accessors of its own, not a class's: whoever copies a change with `{ ...change }` gets the numbers. */
function storedLowRank(rank: number, up: LazyFactor, down: LazyFactor): StoredLowRank {
  return {
    kind: "lowRank",
    rank,
    stored: { up, down },
    get up() {
      return up.values;
    },
    get down() {
      return down.values;
    },
  };
}

function storedDense(stored: LazyFactor): StoredDense {
  return {
    kind: "dense",
    stored,
    get values() {
      return stored.values;
    },
  };
}

/** At once, because a change's factors are plain properties; only arithmetic on the CPU asks for them. */
function readNow(stored: StoredNumbers): Float32Array {
  const handle = openSync(stored.file, "r");
  try {
    return readAt(handle, stored);
  } finally {
    closeSync(handle);
  }
}

function readAt(handle: number, { file, offset, count, dtype }: StoredNumbers): Float32Array {
  const bytes = new Uint8Array(count * bytesOf(dtype));
  let done = 0;
  while (done < bytes.length) {
    const read = readSync(handle, bytes, done, bytes.length - done, offset + done);
    if (read === 0) throw new Error(`${file} has become shorter since it was opened. Load it again.`);
    done += read;
  }
  return toFloat32(bytes, dtype);
}

function bytesOf(dtype: WeightDtype): number {
  return dtype === "F32" ? 4 : 2;
}
