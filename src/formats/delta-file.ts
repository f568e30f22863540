import { DELTA_FORMAT, invalidDelta, looseDeltaMetadata, parseDeltaMetadata, type DeltaMetadata } from "./delta-metadata.ts";
import { UserError } from "./errors.ts";
import { SafetensorsFile, type TensorEntry } from "./safetensors.ts";

/**
 * What a delta file holds for one initializer; entries, not values: those are read by `DeltaFile.read`.
 * - lowRank: the change is up [out, rank] · down [rank, in], reshaped to the weight's shape, alpha and strength folded into up
 * - dense: the change itself, in the weight's shape
 * - fullWeights (version 1): the whole modified weight; the change is it minus the base's
 * - factors: another kind (LoHa, LoKr, DoRA, …), by the factors' published names
 */
export type StoredChange =
  | { readonly kind: "lowRank"; readonly rank: number; readonly up: TensorEntry; readonly down: TensorEntry }
  | { readonly kind: "dense"; readonly values: TensorEntry }
  | { readonly kind: "fullWeights"; readonly values: TensorEntry }
  | { readonly kind: "factors"; readonly factors: ReadonlyMap<string, TensorEntry> };

/**
 * The factor names in use; anything else after the last dot belongs to the initializer's own name ("….weight"). Where a weight has
 * several updates, or one of some of its rows, "part_0." and "rows_0_768." stand before the names.
 */
const FACTOR =
  /(?<=.)\.((?:part_\d+\.)?(?:rows_\d+_\d+\.)?(?:lora_up|lora_down|lora_mid|hada_w[12]_[ab]|hada_t[12]|lokr_w[12](?:_[ab])?|lokr_t2|dora_scale|lora_magnitude_vector|oft_blocks|oft_diag|rescale|oft_R|cayley_neumann_terms|coft_eps|boft_R|boft_s|ia3_weight|ia3_l|on_input|a1|a2|b1|b2|diff|set_weight|alpha))$/s;

/** How LoRA files of kohya's and PEFT's families name their factors; a delta never does. */
const LORA_TENSOR = /\.lora_(?:up|down)\.weight$|\.lora_(?:A|B)(?:\.\w+)?\.weight$|\.lora\.(?:up|down)\.weight$/;

/** A `.trt_lora` opened for reading, version 1 or 2; names and shapes are known, values are read on demand. */
export class DeltaFile {
  readonly path: string;
  readonly version: 1 | 2;
  /** Complete in version 2. */
  readonly metadata: Partial<DeltaMetadata>;
  /** Initializer name -> what is stored for it. */
  readonly changes: ReadonlyMap<string, StoredChange>;
  readonly #file: SafetensorsFile;

  private constructor(file: SafetensorsFile, version: 1 | 2, metadata: Partial<DeltaMetadata>, changes: ReadonlyMap<string, StoredChange>) {
    this.path = file.path;
    this.version = version;
    this.metadata = metadata;
    this.changes = changes;
    this.#file = file;
  }

  /** Throws what `SafetensorsFile.open` throws, and "delta.invalid" for a safetensors file that is no delta. */
  static async open(path: string): Promise<DeltaFile> {
    const file = await SafetensorsFile.open(path);
    try {
      const { version, metadata, changes } = file.metadata.has("format") ? readVersion2(file) : readVersion1(file);
      return new DeltaFile(file, version, metadata, changes);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** The numbers of one tensor of a change, row-major. */
  read(entry: TensorEntry): Promise<Float32Array> {
    return this.#file.readFloat32(entry.name);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

type Contents = Pick<DeltaFile, "version" | "metadata" | "changes">;

function readVersion2(file: SafetensorsFile): Contents {
  const format = file.metadata.get("format")!;
  refuseLora(file);
  if (format !== DELTA_FORMAT) {
    const newer = /^trt_lora\/\d+$/.test(format);
    if (newer) throw new UserError("delta.invalid", `${file.path} has format ${format}, which is newer than this program. Update it.`);
    throw invalidDelta(file.path, `its format is ${JSON.stringify(format.slice(0, 100))} instead of "${DELTA_FORMAT}"`);
  }
  const changes = groupChanges(file);
  return { version: 2, metadata: parseDeltaMetadata(file.path, file.metadata, changes.size), changes };
}

function readVersion1(file: SafetensorsFile): Contents {
  refuseLora(file);
  const changes = new Map<string, StoredChange>();
  for (const entry of file.tensors.values()) {
    if (FACTOR.test(entry.name)) throw invalidDelta(file.path, `its metadata has no "format"`);
    changes.set(entry.name, { kind: "fullWeights", values: entry });
  }
  if (changes.size === 0) throw invalidDelta(file.path, "it holds no tensor");
  return { version: 1, metadata: looseDeltaMetadata(file.metadata), changes };
}

function refuseLora(file: SafetensorsFile): void {
  for (const name of file.tensors.keys()) {
    if (LORA_TENSOR.test(name)) {
      throw new UserError("delta.invalid", `${file.path} is a LoRA, not a delta. Make a delta of it for your engine first.`);
    }
  }
}

function groupChanges(file: SafetensorsFile): Map<string, StoredChange> {
  const dense = new Map<string, TensorEntry>();
  const factorsOf = new Map<string, Map<string, TensorEntry>>();
  for (const entry of file.tensors.values()) {
    const match = FACTOR.exec(entry.name);
    if (!match) dense.set(entry.name, entry);
    else {
      const factor = match[1]!;
      const initializer = entry.name.slice(0, match.index);
      const factors = factorsOf.get(initializer) ?? new Map<string, TensorEntry>();
      factorsOf.set(initializer, factors.set(factor, entry));
    }
  }
  const changes = new Map<string, StoredChange>();
  for (const [name, values] of dense) changes.set(name, { kind: "dense", values });
  for (const [name, factors] of factorsOf) {
    if (dense.has(name)) throw invalidDelta(file.path, `${JSON.stringify(name)} has both a dense change and factors`);
    changes.set(name, factorsToChange(file.path, name, factors));
  }
  return changes;
}

function factorsToChange(path: string, name: string, factors: ReadonlyMap<string, TensorEntry>): StoredChange {
  const up = factors.get("lora_up");
  const down = factors.get("lora_down");
  if (!up !== !down) throw invalidDelta(path, `${JSON.stringify(name)} has lora_${up ? "up" : "down"} without lora_${up ? "down" : "up"}`);
  if (!up || !down || factors.size > 2) return { kind: "factors", factors };
  if (up.shape.length !== 2 || down.shape.length !== 2) {
    throw invalidDelta(
      path,
      `${JSON.stringify(name)} has factors of shape [${up.shape.join(", ")}] and [${down.shape.join(", ")}], not two matrices`,
    );
  }
  const rank = down.shape[0]!;
  if (up.shape[1] !== rank) throw invalidDelta(path, `${JSON.stringify(name)} has rank ${up.shape[1]} in lora_up and ${rank} in lora_down`);
  return { kind: "lowRank", rank, up, down };
}
