import { statSync } from "node:fs";
import { writeDeltaFile, type ChangeSource, type ChangeTensor } from "../../src/formats/delta-writer.ts";
import { fromFloat32 } from "../../src/formats/numbers.ts";
import { elementCount } from "../../src/formats/tensor.ts";
import type { OpenedBundle } from "../../src/jobs/engine-cache.ts";
import { matrixSize } from "../../src/lora/merge.ts";
import { madeShapes, NUMBERS } from "../../test/fixtures/lora/made-kinds.ts";

/** What trainers reach by default: the linear layers of the transformer blocks and around them, 722 in SDXL's UNet. */
const TRAINED = /\.(?:attn[12]\.to_(?:q|k|v|out\.0)|ff\.net\.(?:0\.proj|2)|proj_in|proj_out)\.weight$/;

/** The types that trainers keep factors in. */
type HalfDtype = "F16" | "BF16";

/** Writes a delta of a kind on the weights that trainers reach, its factors small random numbers of a type; says how large it is. */
export async function writeMadeDelta(
  { bundle, architecture }: OpenedBundle,
  file: string,
  { kind, rank, seed, dtype = "F16" }: { readonly kind: string; readonly rank: number; readonly seed: number; readonly dtype?: HalfDtype },
): Promise<string> {
  const pool = randomHalves(seed, dtype);
  const tensor = (shape: readonly number[]) => repeated(pool, dtype, shape);
  const changes = bundle.components[0]!.refittable.flatMap(({ name, shape }): ChangeSource[] => {
    const shapes = TRAINED.test(name) ? madeShapes(kind, shape, rank) : undefined;
    if (!shapes) return [];
    if (kind === "LoRA") {
      const { rows, columns } = matrixSize(shape);
      return [{ name, kind: "lowRank", up: tensor([rows, rank]), down: tensor([rank, columns]) }];
    }
    const factors = Array.from(
      shapes,
      ([factor, sizes]) => [factor, factor in NUMBERS ? number(NUMBERS[factor]!) : tensor(sizes)] as const,
    );
    return [{ name, kind: "factors", factors: new Map(factors) }];
  });
  const { fingerprint: baseFingerprint } = bundle.checkpoint;
  await writeDeltaFile(file, { baseEngine: bundle.name, baseFingerprint, architecture, loraFile: file, loraStrength: 1 }, changes, {});
  return `${file}: ${kind}, ${dtype}, rank ${rank} on ${changes.length} weights, ${(statSync(file).size / 1e6).toFixed(0)} MB`;
}

/** Numbers of about ±0.01: of exponent −7, their signs and some bits of their fractions random. */
function randomHalves(seed: number, dtype: HalfDtype): Uint8Array {
  return Uint8Array.from({ length: 1 << 20 }, (_, index) => {
    const random = (Math.imul(index + seed, 2654435761) >>> 8) & 0xff;
    if (dtype === "BF16") return index % 2 === 0 ? random & 0x7f : 0x3c | (random & 0x80);
    return index % 2 === 0 ? random : 0x20 | (random & 0x83);
  });
}

function repeated(pool: Uint8Array, dtype: HalfDtype, shape: readonly number[]): ChangeTensor {
  return {
    dtype,
    shape,
    chunks: async function* () {
      for (let left = 2 * elementCount(shape); left > 0; left -= pool.length) yield pool.subarray(0, Math.min(left, pool.length));
    },
  };
}

function number(value: number): ChangeTensor {
  return {
    dtype: "F32",
    shape: [],
    chunks: async function* () {
      yield fromFloat32(Float32Array.of(value), "F32");
    },
  };
}
