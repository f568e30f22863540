import { formatDeltaMetadata, type DeltaMetadata } from "./delta-metadata.ts";
import { fromFloat32, type WeightDtype } from "./numbers.ts";
import { writeSafetensors, type TensorSource, type WriteOptions } from "./safetensors-writer.ts";

/** One tensor of a change, before it has a name. */
export type ChangeTensor = Omit<TensorSource, "name">;

/** A change to be written; see `StoredChange` for what the kinds mean. */
export type ChangeSource = { readonly name: string } & (
  | { readonly kind: "lowRank"; readonly up: ChangeTensor; readonly down: ChangeTensor }
  | { readonly kind: "dense"; readonly values: ChangeTensor }
  | { readonly kind: "factors"; readonly factors: ReadonlyMap<string, ChangeTensor> }
);

/** A tensor of numbers, converted when its turn to be written comes. */
export function changeTensor(values: Float32Array, shape: readonly number[], dtype: WeightDtype): ChangeTensor {
  return { dtype, shape, chunks: () => [fromFloat32(values, dtype)] };
}

/** Writes a delta, version 2, atomically. Throws "disk.full", "file.unwritable" or "cancelled". */
export async function writeDeltaFile(
  path: string,
  metadata: DeltaMetadata,
  changes: readonly ChangeSource[],
  options: WriteOptions = {},
): Promise<void> {
  await writeSafetensors(path, changes.flatMap(tensorsOf), formatDeltaMetadata(metadata, changes.length), options);
}

function tensorsOf(change: ChangeSource): TensorSource[] {
  const { name } = change;
  switch (change.kind) {
    case "dense":
      return [{ ...change.values, name }];
    case "lowRank":
      return [
        { ...change.up, name: `${name}.lora_up` },
        { ...change.down, name: `${name}.lora_down` },
      ];
    case "factors":
      return [...change.factors].map(([factor, tensor]) => ({ ...tensor, name: `${name}.${factor}` }));
  }
}
