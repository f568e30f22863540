import { changeTensor, writeDeltaFile, type ChangeSource } from "../formats/delta-writer.ts";
import { DeltaFile } from "../formats/delta-file.ts";
import { UserError } from "../formats/errors.ts";
import type { WriteOptions } from "../formats/safetensors-writer.ts";
import type { BaseDescription } from "./base.ts";
import { readDelta, type BaseReader } from "./read-delta.ts";
import type { Finding } from "./update.ts";

export interface ConvertedDelta {
  readonly changed: readonly string[];
  readonly unmatched: readonly Finding[];
}

/**
 * Writes a delta of version 1, which holds whole modified weights, as one of version 2 for this engine: what the weights differ from the
 * base's by, in fp32, so that it can be applied at any scale and in a stack. Throws
 * "delta.invalid" for a delta that is of version 2 already, and what `readDelta` and `writeDeltaFile` throw.
 */
export async function convertVersion1(
  path: string,
  output: string,
  base: BaseDescription,
  readBase: BaseReader,
  options: WriteOptions = {},
): Promise<ConvertedDelta> {
  const file = await DeltaFile.open(path);
  await file.close();
  if (file.version !== 1) throw new UserError("delta.invalid", `${path} is a delta of version ${file.version} already. Use it as it is.`);
  const { delta, unmatched } = await readDelta(path, base, readBase, options.signal);
  const changes = Array.from(delta.changes).flatMap(([name, change]): ChangeSource[] =>
    change.kind === "dense" ? [{ name, kind: "dense", values: changeTensor(change.values, change.shape, "F32") }] : [],
  );
  const metadata = {
    baseEngine: base.name,
    baseFingerprint: base.fingerprint,
    architecture: base.architecture,
    loraFile: delta.loraFile,
    loraStrength: delta.strength,
    dense: true,
  };
  await writeDeltaFile(output, metadata, changes, options);
  return { changed: changes.map(({ name }) => name), unmatched };
}
