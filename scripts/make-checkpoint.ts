/*
 * Writes a full-size single-file checkpoint for benchmarks: the published names and shapes with random weights, or with zeros that take
 * no room on the disk.
 *
 * usage: node scripts/make-checkpoint.ts sd1|sd2|sdxl|sdxl-refiner OUT.safetensors [--dtype F16|BF16|F32] [--inpainting]
 *        [--components unet,text_encoder,…] [--sparse]
 */
import { open } from "node:fs/promises";
import { parseArgs } from "node:util";
import { z } from "zod";
import { fromFloat32 } from "../src/formats/numbers.ts";
import { writeSafetensors } from "../src/formats/safetensors-writer.ts";
import { COMPONENTS } from "../src/models/architecture.ts";
import type { Weight } from "../src/models/checkpoint.ts";
import { describeCheckpoint } from "../src/models/full-size.ts";

const optionsSchema = z.object({
  architecture: z.enum(["sd1", "sd2", "sdxl", "sdxl-refiner"]),
  out: z.string().min(1),
  dtype: z.enum(["F16", "BF16", "F32"]),
  inpainting: z.boolean(),
  components: z.array(z.enum(COMPONENTS)).optional(),
  sparse: z.boolean(),
});

type Dtype = z.infer<typeof optionsSchema>["dtype"];

/** Random numbers made once; every weight is a run of them, scaled. A prime, so that rows of a weight do not repeat. */
const POOL_SIZE = 1_048_583;

/** Independent N(0, 1) numbers by Box and Muller's transform of a small linear congruential generator: the same in every run. */
function normalNumbers(count: number): Float32Array {
  let state = 1;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  return Float32Array.from({ length: count }, () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()));
}

/** Numbers of variance 1/fan_in, so that activations keep their size; norms are 1 and biases 0. */
class RandomWeights {
  readonly #dtype: Dtype;
  readonly #normal = normalNumbers(POOL_SIZE);
  readonly #pools = new Map<number, Uint8Array>();
  /** Where the next weight begins in its pool, so that no two of one shape are alike. */
  #start = 0;

  constructor(dtype: Dtype) {
    this.#dtype = dtype;
  }

  *chunks({ name, shape, length }: Weight): Generator<Uint8Array> {
    if (shape.length < 2) {
      yield fromFloat32(new Float32Array(shape[0] ?? 1).fill(name.endsWith("weight") ? 1 : 0), this.#dtype);
      return;
    }
    const pool = this.#pool(shape.slice(1).reduce((product, size) => product * size, 1));
    for (let done = 0; done < length;) {
      const begin = this.#start % pool.length;
      const end = Math.min(pool.length, begin + length - done);
      yield pool.subarray(begin, end);
      done += end - begin;
      this.#start = end;
    }
  }

  #pool(fanIn: number): Uint8Array {
    let pool = this.#pools.get(fanIn);
    if (!pool) {
      const scale = 1 / Math.sqrt(fanIn);
      this.#pools.set(
        fanIn,
        (pool = fromFloat32(
          this.#normal.map((value) => value * scale),
          this.#dtype,
        )),
      );
    }
    return pool;
  }
}

/** A header, and a file that is as long as its tensors need but holds nothing: file systems store no zeros for it. */
async function writeSparse(path: string, weights: readonly Weight[]): Promise<void> {
  const entries = weights.map(({ name, dtype, shape, offset, length }) => [
    name,
    { dtype, shape, data_offsets: [offset, offset + length] },
  ]);
  const json = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const header = Buffer.alloc(8 + Math.ceil(json.length / 8) * 8, " ");
  header.writeBigUInt64LE(BigInt(header.length - 8));
  json.copy(header, 8);
  const handle = await open(path, "w");
  try {
    await handle.write(header);
    await handle.truncate(header.length + weights.reduce((sum, { length }) => sum + length, 0));
  } finally {
    await handle.close();
  }
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    dtype: { type: "string", default: "F16" },
    inpainting: { type: "boolean", default: false },
    components: { type: "string" },
    sparse: { type: "boolean", default: false },
  },
});
const { architecture, out, dtype, inpainting, components, sparse } = optionsSchema.parse({
  architecture: positionals[0],
  out: positionals[1],
  ...values,
  components: values.components?.split(","),
});
const description = describeCheckpoint(architecture, { dtype, inpainting, ...(components ? { components } : {}) });
const weights = [...description.components.values()].flatMap((table) => [...table.values()]);
if (sparse) {
  await writeSparse(out, weights);
} else {
  const random = new RandomWeights(dtype);
  const sources = weights.map((weight) => ({ ...weight, chunks: () => random.chunks(weight) }));
  await writeSafetensors(out, sources, {});
}
