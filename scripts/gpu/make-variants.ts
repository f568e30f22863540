/*
 * Writes SDXL's UNet in several spellings as ONNX files over one weight file that does not exist yet: make_weights.py makes it, with
 * random numbers, on the machine that has the GPU. Beside each ONNX file stands FILE.refittable, the names a LoRA can reach.
 *
 * usage: node scripts/gpu/make-variants.ts OUT_DIR [--size full|part|small] [--variants a,b,…] [--dtype F16|BF16|F32]
 *   full: SDXL-base, 1024×1024; part: its two inner resolutions with a few blocks; small: the same, narrow, for a test here
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Weight } from "../../src/models/checkpoint.ts";
import type { UNetStructure } from "../../src/models/configuration.ts";
import { serialize, tensorrtTarget, type EmittedGraph } from "../../src/models/graph/emit.ts";
import { emitUNet } from "../../src/models/graph/unet.ts";
import { unetShapes } from "../../src/models/unet-shapes.ts";
import { fixSizes, VARIANTS, type Sizes } from "./variants.ts";

type Dtype = "F16" | "BF16" | "F32";

/** Stability AI's `sd_xl_base.yaml`. */
const FULL: UNetStructure = {
  inChannels: 4,
  outChannels: 4,
  modelChannels: 320,
  contextWidth: 2048,
  admWidth: 2816,
  linearProjections: true,
  levels: [
    { width: 320, down: [0, 0], up: [0, 0, 0] },
    { width: 640, down: [2, 2], up: [2, 2, 2] },
    { width: 1280, down: [10, 10], up: [10, 10, 10] },
  ],
  middle: { residualBlocks: 2, depth: 10 },
};

const PART: UNetStructure = {
  ...FULL,
  levels: [
    { width: 640, down: [1], up: [1, 1] },
    { width: 1280, down: [2], up: [2, 2] },
  ],
  middle: { residualBlocks: 2, depth: 2 },
};

const SMALL: UNetStructure = {
  ...PART,
  modelChannels: 64,
  levels: [
    { width: 128, down: [1], up: [1, 1] },
    { width: 256, down: [1], up: [1, 1] },
  ],
  middle: { residualBlocks: 2, depth: 1 },
};

const SIZES: Readonly<Record<string, { readonly structure: UNetStructure; readonly sizes: Sizes }>> = {
  full: { structure: FULL, sizes: { batch: 2, height: 128, width: 128, tokens: 77 } },
  part: { structure: PART, sizes: { batch: 2, height: 64, width: 64, tokens: 77 } },
  small: { structure: SMALL, sizes: { batch: 2, height: 16, width: 16, tokens: 77 } },
};

function weightTable(structure: UNetStructure): Map<string, Weight> {
  const weights = new Map<string, Weight>();
  let offset = 0;
  for (const [name, shape] of unetShapes(structure)) {
    const length = shape.reduce((product, size) => product * size, dtype === "F32" ? 4 : 2);
    weights.set(name, { name, dtype, shape, file: "weights.bin", offset, length });
    offset += length;
  }
  return weights;
}

function writeVariant(folder: string, name: string, graph: EmittedGraph, table: ReadonlyMap<string, Weight>): void {
  const place = (weight: string) => {
    const { dtype, offset, length } = table.get(weight)!;
    return { location: "weights.bin", dtype, offset, length };
  };
  writeFileSync(join(folder, `${name}.onnx`), serialize(graph, place));
  writeFileSync(join(folder, `${name}.refittable`), `${graph.refittable.join("\n")}\n`);
}

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    size: { type: "string", default: "part" },
    variants: { type: "string" },
    dtype: { type: "string", default: "F16" },
  },
});
const [folder] = positionals;
const chosen = SIZES[values.size];
if (!folder || !chosen)
  throw new Error("usage: make-variants.ts OUT_DIR [--size full|part|small] [--variants a,b,…] [--dtype F16|BF16|F32]");
const dtype = values.dtype as Dtype;
const { structure, sizes } = chosen;
const table = weightTable(structure);
const emitted = emitUNet(table, { heads: { width: 64 }, contextWidth: structure.contextWidth }, tensorrtTarget(dtype));
mkdirSync(folder, { recursive: true });
for (const name of values.variants?.split(",") ?? Object.keys(VARIANTS)) {
  const variant = VARIANTS[name];
  if (!variant) throw new Error(`There is no variant ${name}; there are ${Object.keys(VARIANTS).join(", ")}.`);
  const graph = variant(name === "dynamic" ? emitted : fixSizes(emitted, sizes));
  writeVariant(folder, name, graph, table);
}
const { batch, height, width, tokens } = sizes;
const shapes = {
  x: [batch, structure.inChannels, height, width],
  timesteps: [batch],
  context: [batch, tokens, structure.contextWidth],
  y: [batch, structure.admWidth],
};
writeFileSync(
  join(folder, "shapes.txt"),
  Object.entries(shapes)
    .map(([input, shape]) => `--shape ${input}=${shape.join("x")}`)
    .join(" "),
);
const weights = [...table.values()].map(({ name, shape, offset, length }) => ({ name, shape, offset, length }));
writeFileSync(join(folder, "weights.json"), JSON.stringify({ dtype, weights }));
