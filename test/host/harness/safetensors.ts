import { writeFileSync } from "node:fs";

/** Tensors by name: shape and float32 numbers. */
export type Tensors = Readonly<Record<string, { readonly shape: readonly number[]; readonly values: Float32Array }>>;

/** Writes a safetensors file of float32 tensors at once, for workspaces that tests make. */
export function writeSafetensorsFile(path: string, tensors: Tensors, metadata: Readonly<Record<string, string>> = {}): void {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let end = 0;
  for (const [name, { shape, values }] of Object.entries(tensors)) {
    header[name] = { dtype: "F32", shape, data_offsets: [end, (end += values.byteLength)] };
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const data = Object.values(tensors).map(({ values }) => Buffer.from(values.buffer, values.byteOffset, values.byteLength));
  writeFileSync(path, Buffer.concat([length, json, ...data]));
}

/** A LoRA's modules with factors that follow from their names: kohya's keys, alpha left out. */
export function loraTensors(modules: readonly string[], { out = 8, inputs = 8, rank = 2 } = {}): Tensors {
  const tensors: Record<string, { shape: readonly number[]; values: Float32Array }> = {};
  for (const [index, module] of modules.entries()) {
    const numbers = (count: number, offset: number) =>
      Float32Array.from({ length: count }, (_, i) => Math.sin((i + 1) * (index + offset)) / 10);
    tensors[`${module}.lora_up.weight`] = { shape: [out, rank], values: numbers(out * rank, 1) };
    tensors[`${module}.lora_down.weight`] = { shape: [rank, inputs], values: numbers(rank * inputs, 2) };
  }
  return tensors;
}
