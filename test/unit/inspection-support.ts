import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { fromFloat32, type WeightDtype } from "../../src/formats/numbers.ts";
import { writeSafetensors } from "../../src/formats/safetensors-writer.ts";

/* What the tests of the inspector and of compare share. */

/** The reference's numbers (test/fixtures/inspection/reference.py); needs TEST_PYTHON. */
export function numpyReference<Row>(...files: readonly string[]): Readonly<Record<string, Row>> {
  const script = join(import.meta.dirname, "..", "fixtures", "inspection", "reference.py");
  const output = execFileSync(process.env["TEST_PYTHON"]!, [script, ...files], { encoding: "utf8", maxBuffer: 1 << 28 });
  return JSON.parse(output) as Record<string, Row>;
}

/** Numbers that look random and are the same every time (mulberry32). */
export function randomNumbers(seed: number, count: number, scale = 1): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 31 - 1) * scale;
  });
}

export interface TestTensor {
  readonly shape: readonly number[];
  readonly values: Float32Array;
  readonly dtype?: WeightDtype;
}

/** Writes a safetensors file; returns its path. */
export async function writeTensors(
  path: string,
  tensors: Readonly<Record<string, TestTensor>>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<string> {
  const sources = Object.entries(tensors).map(([name, { shape, values, dtype = "F32" }]) => ({
    name,
    shape,
    dtype,
    chunks: () => [fromFloat32(values, dtype)],
  }));
  await writeSafetensors(path, sources, metadata);
  return path;
}

/** The factors of a kohya LoRA's module: a linear layer, or a convolution with a kernel. */
export function loraModule(
  name: string,
  { out, rank, inputs, kernel = [], alpha, seed, dtype = "F32" }: LoraModuleOptions,
): Record<string, TestTensor> {
  const taps = kernel.reduce((product, size) => product * size, 1);
  return {
    [`${name}.lora_up.weight`]: { shape: [out, rank, ...kernel.map(() => 1)], values: randomNumbers(seed, out * rank, 0.1), dtype },
    [`${name}.lora_down.weight`]: { shape: [rank, inputs, ...kernel], values: randomNumbers(seed + 1, rank * inputs * taps, 0.1), dtype },
    ...(alpha !== undefined && { [`${name}.alpha`]: { shape: [], values: Float32Array.of(alpha) } }),
  };
}

interface LoraModuleOptions {
  readonly out: number;
  readonly rank: number;
  readonly inputs: number;
  readonly kernel?: readonly number[];
  readonly alpha?: number;
  readonly seed: number;
  readonly dtype?: WeightDtype;
}
