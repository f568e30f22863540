import { factor, numberFactor, sizeFrom, type BlockSize, type Factors, type FactorShapes, type WeightBlock } from "../factors.ts";
import type { MatrixProduct } from "../matrix-product.ts";
import type { UpdateKind } from "./kind.ts";
import { atStrength, cayley, skewBlocks, type Rotations } from "./rotation.ts";

/**
 * OFT on the output rows (arXiv:2306.07280; kohya's networks/oft.py, LyCORIS' diag-oft): each block of rows is turned,
 * new = rescale · (I + strength · (R − I))ᵀ · W with R = (I + Q)(I − Q)⁻¹, Q = blocks − blocksᵀ. `alpha` times the number of rows is
 * the largest norm that all of Q may have; without it there is none. `oft_blocks` is [blocks, size, size].
 */
export const OFT: UpdateKind = {
  label: "OFT",
  required: [["oft_blocks"]],
  optional: ["rescale"],
  multiplied: [],
  check(shapes) {
    const blocks = shapes.get("oft_blocks")!;
    return blocks.length === 3 && blocks[1] === blocks[2] ? undefined : "its oft_blocks are not square";
  },
  rank: () => 0,
  misfit: (shapes, size) => rowMisfit(shapes, shapes.get("oft_blocks")!, size),
  async apply(factors, block, strength, product) {
    await turnRows(block, atStrength(outputRotations(factors, block.rows), strength), product);
    rescaleRows(factors, block);
  },
};

/** The first LyCORIS OFT: `oft_diag` [blocks, size, size] are the rotations themselves. */
export const OFT_DIAGONAL: UpdateKind = {
  ...OFT,
  required: [["oft_diag"]],
  check(shapes) {
    const blocks = shapes.get("oft_diag")!;
    return blocks.length === 3 && blocks[1] === blocks[2] ? undefined : "its oft_diag are not square";
  },
  misfit: (shapes, size) => rowMisfit(shapes, shapes.get("oft_diag")!, size),
  async apply(factors, block, strength, product) {
    const { shape, values } = factor(factors, "oft_diag");
    const rotations = { count: shape[0]!, size: shape[1]!, values: Float64Array.from(values) };
    await turnRows(block, atStrength(rotations, strength), product);
    rescaleRows(factors, block);
  },
};

/**
 * BOFT on the output rows (arXiv:2311.06243, LyCORIS): `oft_blocks` [stages, blocks, size, size]; stage i turns rows that stand
 * 2^i · size/2 apart. Each stage is at the strength, not the product of all.
 */
export const BOFT: UpdateKind = {
  ...OFT,
  label: "BOFT",
  check(shapes) {
    const blocks = shapes.get("oft_blocks")!;
    if (blocks.length !== 4 || blocks[2] !== blocks[3] || blocks[2]! % 2 !== 0) return "its oft_blocks are not even squares";
    const widest = 2 ** (blocks[0]! - 1) * blocks[2]!;
    return blocks[0]! <= 32 && (blocks[1]! * blocks[2]!) % widest === 0 ? undefined : `its ${blocks[0]} stages are too many for its blocks`;
  },
  misfit: (shapes, size) => rowMisfit(shapes, shapes.get("oft_blocks")!.slice(1), size),
  async apply(factors, block, strength, product) {
    const { shape } = factor(factors, "oft_blocks");
    const [stages, count, size] = shape as [number, number, number];
    const { values } = atStrength(outputRotations(factors, block.rows), strength);
    for (let stage = 0; stage < stages; stage++) {
      const own = {
        count,
        size,
        values: transposed(values.subarray(stage * count * size * size, (stage + 1) * count * size * size), size),
      };
      const order = butterfly(block.rows, 2 ** stage * (size / 2));
      await inOrder(block, order, (turned) => turnRows(turned, own, product));
    }
    rescaleRows(factors, block);
  },
};

function rowMisfit(shapes: FactorShapes, blocks: readonly number[], size: BlockSize): string | undefined {
  const rows = blocks[0]! * blocks[1]!;
  if (rows !== size.rows) return `it turns ${rows} outputs, here they are ${size.rows}`;
  const rescale = shapes.get("rescale");
  return rescale && sizeFrom(rescale, 0) !== rows ? `its rescale has ${sizeFrom(rescale, 0)} numbers for ${rows} outputs` : undefined;
}

/** R of all blocks, those of all stages one after the other. */
export function outputRotations(factors: Factors, rows: number): Rotations {
  const { shape, values } = factor(factors, "oft_blocks");
  const size = shape.at(-1)!;
  const count = values.length / (size * size);
  const skew = skewBlocks(values, count, size, 1);
  const largest = (numberFactor(factors, "alpha") ?? 0) * rows;
  const norm = Math.sqrt(skew.reduce((sum, value) => sum + value * value, 0)) + 1e-8;
  if (largest > 0 && norm > largest) for (let i = 0; i < skew.length; i++) skew[i] = (skew[i]! * largest) / norm;
  return cayley(skew, count, size);
}

/** Each block of rows becomes Rᵀ · itself. */
async function turnRows(block: WeightBlock, rotations: Rotations, product: MatrixProduct): Promise<void> {
  const { count, size } = rotations;
  const columns = block.channels * block.kernel;
  const turns = transposed(rotations.values, size);
  const pairs = Array.from({ length: count }, (_, index) => {
    const turn = Float32Array.from(turns.subarray(index * size * size, (index + 1) * size * size));
    const rows = block.values.subarray(index * size * columns, (index + 1) * size * columns);
    return [
      { rows: size, columns: size, values: turn },
      { rows: size, columns, values: rows },
    ] as const;
  });
  const products = await product.multiplyAll(pairs);
  products.forEach(({ values }, index) => block.values.set(values, index * size * columns));
}

export function transposed(values: Float64Array, size: number): Float64Array {
  const turned = new Float64Array(values.length);
  for (let start = 0; start < values.length; start += size * size) {
    for (let i = 0; i < size; i++) for (let j = 0; j < size; j++) turned[start + j * size + i] = values[start + i * size + j]!;
  }
  return turned;
}

/** Rows (c, g, k) in the order (c, k, g), g being 0 or 1: where each row of the new order stands in the old one. */
function butterfly(rows: number, distance: number): Uint32Array {
  return Uint32Array.from({ length: rows }, (_, index) => {
    const [outer, inner] = [Math.floor(index / (2 * distance)), index % (2 * distance)];
    return outer * 2 * distance + (inner % 2) * distance + Math.floor(inner / 2);
  });
}

async function inOrder(block: WeightBlock, order: Uint32Array, change: (block: WeightBlock) => Promise<void>): Promise<void> {
  const columns = block.channels * block.kernel;
  const values = new Float32Array(block.values.length);
  order.forEach((from, to) => values.set(block.values.subarray(from * columns, (from + 1) * columns), to * columns));
  await change({ ...block, values });
  order.forEach((to, from) => block.values.set(values.subarray(from * columns, (from + 1) * columns), to * columns));
}

function rescaleRows(factors: Factors, { rows, channels, kernel, values }: WeightBlock): void {
  const rescale = factors.get("rescale")?.values;
  if (!rescale) return;
  const columns = channels * kernel;
  for (let row = 0; row < rows; row++) for (let i = row * columns; i < (row + 1) * columns; i++) values[i]! *= rescale[row]!;
}
