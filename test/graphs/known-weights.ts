import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { fromFloat32 } from "../../src/formats/numbers.ts";
import { writeSafetensors } from "../../src/formats/safetensors-writer.ts";
import { SafetensorsFile } from "../../src/formats/safetensors.ts";
import { elementCount } from "../../src/formats/tensor.ts";
import type { FloatDtype } from "../../src/models/graph/emit.ts";
import { openWeights, type WeightFile } from "./graph-runner.ts";

const FIXTURES = new URL("../fixtures/graphs/", import.meta.url).pathname;

/** Inputs and expected outputs of one network, with the names and shapes of the weights that gave them. */
export interface Fixture<Description> {
  readonly name: string;
  readonly file: SafetensorsFile;
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  readonly description: Description;
}

/** Opens a fixture for the length of the running test. */
export async function openFixture<Description>(name: string): Promise<Fixture<Description>> {
  const file = await SafetensorsFile.open(join(FIXTURES, `${name}.safetensors`));
  onTestFinished(() => file.close());
  const shapes = new Map(Object.entries(JSON.parse(file.metadata.get("weights")!) as Record<string, number[]>));
  return { name, file, shapes, description: JSON.parse(file.metadata.get("description")!) as Description };
}

/** Writes a fixture's weights as a checkpoint of the given type into a folder that lasts as long as the running test. */
export async function writeKnownWeights(shapes: ReadonlyMap<string, readonly number[]>, dtype: FloatDtype): Promise<WeightFile> {
  const folder = await mkdtemp(join(tmpdir(), "known-weights-"));
  const path = join(folder, `${dtype}.safetensors`);
  const tensors = [...shapes].map(([name, shape]) => ({
    name,
    dtype,
    shape,
    chunks: () => [fromFloat32(knownWeight(name, shape), dtype)],
  }));
  await writeSafetensors(path, tensors, {});
  const weights = await openWeights(path);
  onTestFinished(async () => {
    await weights.file.close();
    await rm(folder, { recursive: true });
  });
  return weights;
}

/** The same values as `weight` in fixtures/graphs/make_graphs.py: exact in float32, float16 and bfloat16. */
function knownWeight(name: string, shape: readonly number[]): Float32Array {
  let seed = 2166136261;
  for (const byte of Buffer.from(name)) seed = Math.imul(seed ^ byte, 16777619);
  const inner = elementCount(shape.slice(1));
  const step = 2 ** -Math.max(0, Math.floor(Math.log2(inner) / 2) - 2) / 64;
  const scale = name.endsWith("weight");
  return Float32Array.from({ length: elementCount(shape) }, (_, index) => {
    const k = (mix((index + seed) | 0) >>> 7) % 63;
    if (shape.length > 1) return (k - 31) * step;
    return scale ? 1 + (k - 31) / 128 : (k - 31) / 256;
  });
}

/** MurmurHash3's finalizer. */
function mix(value: number): number {
  let h = Math.imul(value, 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
