import { basename } from "node:path";
import { writeDeltaFile, type ChangeSource } from "../formats/delta-writer.ts";
import { throwIfCancelled, UserError } from "../formats/errors.ts";
import type { WriteOptions } from "../formats/safetensors-writer.ts";
import type { BaseDescription } from "./base.ts";
import type { DenseChange } from "./delta.ts";
import { lazyTensor } from "./prepared-weight.ts";
import { OpenedDelta, type BaseReader } from "./read-delta.ts";
import type { Finding } from "./update.ts";

export interface ConvertOptions extends WriteOptions {
  /** Multiplied into the changes. */
  readonly strength?: number;
  /** SHA-256 of the file, to be kept in the metadata. */
  readonly loraHash?: string;
  /** Makes other, smaller tensors of a change that is a matrix, such as its truncated factors; absent: the changes are exact. */
  readonly compress?: ((name: string, shape: readonly number[], values: Float32Array) => Promise<ChangeSource>) | undefined;
  /** Called for each weight that has been looked at. */
  readonly onRead?: ((done: number, total: number) => void) | undefined;
}

export interface ConvertedDelta {
  readonly changed: readonly string[];
  readonly unmatched: readonly Finding[];
  readonly suspicious: readonly Finding[];
}

/**
 * Writes a delta of version 1, which holds whole modified weights, as one of version 2 for this engine: what the weights differ from the
 * base's by, in fp32, so that it can be applied at any scale and in a stack. Weights that do not differ are left out. One weight is in
 * memory at a time; each is read twice, because a file's header comes before what is in it.
 * Throws "delta.invalid" for a delta that is of version 2 already, "lora.noChange" where no weight differs, and what `OpenedDelta.open` and
 * `writeDeltaFile` throw.
 */
export async function convertVersion1(
  path: string,
  output: string,
  base: BaseDescription,
  readBase: BaseReader,
  { strength = 1, loraHash, compress, onRead, ...options }: ConvertOptions = {},
): Promise<ConvertedDelta> {
  if (strength === 0) throw new UserError("lora.noChange", `${path} would change nothing at strength 0. Give another strength.`);
  const opened = await OpenedDelta.open(path, base, readBase);
  try {
    const { version, metadata: own } = opened.file;
    if (version !== 1) throw new UserError("delta.invalid", `${path} is a delta of version ${version} already. Use it as it is.`);
    const changes: ChangeSource[] = [];
    let done = 0;
    for (const [name, shape] of opened.shapes) {
      throwIfCancelled(options.signal);
      const values = await scaledChange(opened, name, strength);
      if (values?.some((value) => value !== 0)) {
        const isMatrix = shape.length > 1;
        changes.push(compress && isMatrix ? await compress(name, shape, values) : denseSource(opened, name, shape, strength));
      }
      onRead?.((done += 1), opened.shapes.size);
    }
    const suspicious = opened.findings();
    if (changes.length === 0) {
      throw new UserError("lora.noChange", `${path} would change nothing in "${base.name}": its weights are the engine's own.`);
    }
    const metadata = {
      baseEngine: base.name,
      baseFingerprint: base.fingerprint,
      architecture: base.architecture,
      loraFile: own.loraFile ?? basename(path),
      loraStrength: (own.loraStrength ?? 1) * strength,
      ...(loraHash === undefined ? {} : { loraHash }),
      ...(compress ? {} : { dense: true }),
    };
    await writeDeltaFile(output, metadata, changes, options);
    return { changed: changes.map(({ name }) => name), unmatched: opened.unmatched, suspicious };
  } finally {
    await opened.close();
  }
}

/** Undefined where what is stored cannot be used. */
async function scaledChange(opened: OpenedDelta, name: string, strength: number): Promise<Float32Array | undefined> {
  // Whole weights less the base's.
  const change = (await opened.read(name)) as DenseChange | undefined;
  if (change && strength !== 1) for (let i = 0; i < change.values.length; i++) change.values[i]! *= strength;
  return change?.values;
}

function denseSource(opened: OpenedDelta, name: string, shape: readonly number[], strength: number): ChangeSource {
  return { name, kind: "dense", values: lazyTensor("F32", shape, async () => (await scaledChange(opened, name, strength))!) };
}
