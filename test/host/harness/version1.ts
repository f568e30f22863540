import { SafetensorsFile } from "../../../src/formats/safetensors.ts";
import { type Tensors, writeSafetensorsFile } from "./safetensors.ts";

/** Writes a delta of version 1, as other tools do: the whole weights of these layers of a checkpoint, each number a little larger. */
export async function writeVersion1(path: string, checkpoint: string, layers: readonly string[]): Promise<void> {
  const file = await SafetensorsFile.open(checkpoint);
  try {
    const tensors: Record<string, Tensors[string]> = {};
    for (const name of layers) {
      const values = (await file.readFloat32(name)).map((value, index) => value + 0.01 * Math.sin(index));
      tensors[name] = { shape: file.entry(name).shape, values };
    }
    writeSafetensorsFile(path, tensors);
  } finally {
    await file.close();
  }
}
