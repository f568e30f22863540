import { closeSync, openSync, readSync } from "node:fs";
import { DeltaFile, type StoredChange as FileChange } from "../../formats/delta-file.ts";
import { toFloat32, type WeightDtype } from "../../formats/numbers.ts";
import type { TensorEntry } from "../../formats/safetensors.ts";
import type { BaseDescription } from "../../lora/base.ts";
import type { Delta, LowRankChange, WeightChange } from "../../lora/delta.ts";
import { matrixSize } from "../../lora/merge.ts";

/** Numbers in a file, not read yet. */
export interface StoredNumbers {
  readonly file: string;
  readonly offset: number;
  readonly count: number;
  readonly dtype: WeightDtype;
}

/** A low-rank change whose factors stand in a file until somebody asks for `up` or `down`; the GPU's side reads them from there itself. */
export interface StoredLowRank extends LowRankChange {
  readonly stored: { readonly up: StoredNumbers; readonly down: StoredNumbers };
}

export function isStored(change: WeightChange): change is StoredLowRank {
  return change.kind === "lowRank" && "stored" in change;
}

/**
 * Opens a delta file for this base without reading its factors, so that a stack change costs one copy from the page cache to the GPU.
 * Numbers that are not finite are found by the merge. Undefined for a file that needs more than that: of version 1, of another base, or with
 * changes of other kinds or shapes; `readDelta` then does what is to be done, or says what is wrong.
 */
export async function openStoredDelta(path: string, base: BaseDescription): Promise<Delta | undefined> {
  const file = await DeltaFile.open(path);
  try {
    const { version, metadata } = file;
    if (version !== 2 || metadata.baseFingerprint !== base.fingerprint) return undefined;
    const shapes = new Map(base.weights.map(({ name, shape }) => [name, shape]));
    const changes = new Map<string, StoredLowRank & { readonly shape: readonly number[] }>();
    for (const [name, change] of file.changes) {
      const shape = shapes.get(name);
      const stored = shape && storedChange(path, change, shape);
      if (!stored) return undefined;
      changes.set(name, Object.assign(stored, { shape }));
    }
    if (changes.size === 0) return undefined;
    const { loraFile = path, loraStrength: strength = 1 } = metadata;
    return { file: path, architecture: base.architecture, baseFingerprint: base.fingerprint, loraFile, strength, changes };
  } finally {
    await file.close();
  }
}

function storedChange(path: string, change: FileChange, shape: readonly number[]): StoredLowRank | undefined {
  if (change.kind !== "lowRank") return undefined;
  const { rows, columns } = matrixSize(shape);
  const up = numbers(path, change.up);
  const down = numbers(path, change.down);
  if (!up || !down || change.up.shape[0] !== rows || change.down.shape[1] !== columns) return undefined;
  return new LazyLowRank(change.rank, up, down);
}

function numbers(file: string, { dtype, offset, shape }: TensorEntry): StoredNumbers | undefined {
  if (dtype !== "F32" && dtype !== "F16" && dtype !== "BF16") return undefined;
  return { file, offset, dtype, count: shape.reduce((product, size) => product * size, 1) };
}

class LazyLowRank implements StoredLowRank {
  readonly kind = "lowRank";
  readonly rank: number;
  readonly stored: StoredLowRank["stored"];
  /** Own accessors, not the class's: whoever copies a change with `{ ...change }` gets the numbers. */
  declare readonly up: Float32Array;
  declare readonly down: Float32Array;

  constructor(rank: number, up: StoredNumbers, down: StoredNumbers) {
    this.rank = rank;
    this.stored = { up, down };
    for (const [name, place] of Object.entries(this.stored)) {
      let values: Float32Array | undefined;
      Object.defineProperty(this, name, { enumerable: true, get: () => (values ??= readNow(place)) });
    }
  }
}

/** At once, because a change's factors are plain properties; only arithmetic on the CPU asks for them. */
function readNow({ file, offset, count, dtype }: StoredNumbers): Float32Array {
  const bytes = new Uint8Array(count * (dtype === "F32" ? 4 : 2));
  const handle = openSync(file, "r");
  try {
    let done = 0;
    while (done < bytes.length) {
      const read = readSync(handle, bytes, done, bytes.length - done, offset + done);
      if (read === 0) throw new Error(`${file} has become shorter since it was opened. Load it again.`);
      done += read;
    }
  } finally {
    closeSync(handle);
  }
  return toFloat32(bytes, dtype);
}
