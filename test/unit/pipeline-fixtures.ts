import { readFileSync } from "node:fs";

/** The float32 tensors of a small safetensors fixture, by name. */
export function readFloats(file: URL): Map<string, Float32Array> {
  const bytes = readFileSync(file);
  const headerLength = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString("utf8", 8, 8 + headerLength)) as Record<
    string,
    { dtype: string; data_offsets: [number, number] }
  >;
  const tensors = new Map<string, Float32Array>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    if (entry.dtype !== "F32") throw new Error(`${name} is ${entry.dtype}, not F32`);
    const [begin, end] = entry.data_offsets;
    tensors.set(name, new Float32Array(Uint8Array.from(bytes.subarray(8 + headerLength + begin, 8 + headerLength + end)).buffer));
  }
  return tensors;
}
