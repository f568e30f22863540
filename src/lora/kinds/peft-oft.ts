import { factor, numberFactor, sizeFrom, type BlockSize, type Factors, type WeightBlock } from "../factors.ts";
import type { UpdateKind } from "./kind.ts";
import { atStrength, cayley, cayleyNeumann, skewBlocks, skewFromTriangles, triangleSize, type Rotations } from "./rotation.ts";

/**
 * OFT as PEFT has it: the input columns are turned in blocks, new = W · Rᵀ. `oft_R` [blocks, size·(size − 1)/2] holds the parts above the
 * diagonals of skew-symmetric blocks; one row for all blocks where they are shared. `cayley_neumann_terms` says how many terms PEFT's
 * approximation of Cayley's transform has (0: none is made), `coft_eps` how large a block may be. PEFT knows only strength 1; others
 * turn by I + strength · (R − I), as kohya's and LyCORIS' OFT do.
 */
export const PEFT_OFT: UpdateKind = {
  label: "OFT",
  required: [["oft_R"]],
  optional: ["cayley_neumann_terms", "coft_eps"],
  multiplied: ["oft_R"],
  check(shapes) {
    const [blocks, elements = 0] = shapes.get("oft_R")!;
    return shapes.get("oft_R")!.length === 2 && blocks! > 0 && triangleSize(elements) !== undefined
      ? undefined
      : "its oft_R are not the triangles of square blocks";
  },
  rank: () => 0,
  misfit(shapes, size) {
    const [blocks, elements] = shapes.get("oft_R")!;
    return columnMisfit(blocks!, triangleSize(elements!)!, size);
  },
  apply(factors, block, strength) {
    turnColumns(block, atStrength(triangleRotations(factors), strength));
    return Promise.resolve();
  },
};

/**
 * BOFT as PEFT has it: new = s · W · (Bₘ … B₁)ᵀ, stage i being Pᵢ · blocks · Pᵢᵀ. `boft_R` [stages, blocks, size, size], `boft_s` one number
 * an output. OFT of PEFT before 0.15 (`oft_r`, `oft_s`) is the same with one stage. At another strength than 1 each stage is
 * I + strength · (B − I) and s is 1 + strength · (s − 1); PEFT knows only strength 1.
 */
export const PEFT_BOFT: UpdateKind = {
  label: "BOFT",
  required: [["boft_R", "boft_s"]],
  multiplied: [],
  check(shapes) {
    const blocks = shapes.get("boft_R")!;
    if (blocks.length !== 4 || blocks[2] !== blocks[3]) return "its boft_R are not square";
    const [stages, count, size] = blocks as [number, number, number];
    if (stages === 1) return undefined;
    return stages > 0 && stages <= 32 && size % 2 === 0 && count % 2 ** (stages - 1) === 0
      ? undefined
      : `its ${stages} stages are too many for its blocks`;
  },
  rank: () => 0,
  misfit(shapes, size) {
    const [, count, blockSize] = shapes.get("boft_R") as [number, number, number];
    const scales = sizeFrom(shapes.get("boft_s")!, 0);
    if (scales !== size.rows) return `its boft_s has ${scales} numbers for ${size.rows} outputs`;
    const columns = size.channels * size.kernel;
    return count * blockSize === columns ? undefined : `it turns ${count * blockSize} inputs, here they are ${columns}`;
  },
  apply(factors, block, strength) {
    const { shape, values } = factor(factors, "boft_R");
    const [stages, count, size] = shape as [number, number, number];
    const columns = block.channels * block.kernel;
    for (let stage = 0; stage < stages; stage++) {
      const blocks = values.subarray(stage * count * size * size, (stage + 1) * count * size * size);
      // PEFT's transform is (I − S)(I + S)⁻¹ with S half the difference: the inverse rotation.
      const rotations = cayley(skewBlocks(blocks, count, size, -0.5), count, size);
      const order = stages === 1 ? undefined : blockButterfly(columns, count / 2 ** stage, size / 2);
      turnColumns(block, atStrength(rotations, strength), order);
    }
    const scales = factor(factors, "boft_s").values;
    for (let row = 0; row < block.rows; row++) {
      const by = 1 + strength * (scales[row]! - 1);
      for (let i = row * columns; i < (row + 1) * columns; i++) block.values[i]! *= by;
    }
    return Promise.resolve();
  },
};

function columnMisfit(blocks: number, blockSize: number, size: BlockSize): string | undefined {
  const columns = size.channels * size.kernel;
  const fits = blocks === 1 ? columns % blockSize === 0 : blocks * blockSize === columns;
  return fits ? undefined : `it turns ${blocks * blockSize} inputs, here they are ${columns}`;
}

export function triangleRotations(factors: Factors): Rotations {
  const { skew, count, size } = skewFromTriangles(factor(factors, "oft_R"));
  const eps = numberFactor(factors, "coft_eps");
  if (eps !== undefined) limitBlocks(skew, count, size, eps / Math.sqrt(count));
  const terms = numberFactor(factors, "cayley_neumann_terms") ?? 0;
  // Without the series PEFT takes (I − Q)(I + Q)⁻¹.
  return terms > 0
    ? cayleyNeumann(skew, count, size, terms)
    : cayley(
        skew.map((value) => -value),
        count,
        size,
      );
}

/** COFT: no block's norm is larger than `largest`. */
function limitBlocks(skew: Float64Array, count: number, size: number, largest: number): void {
  for (let block = 0; block < count; block++) {
    const values = skew.subarray(block * size * size, (block + 1) * size * size);
    const norm = Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
    if (norm > largest) for (let i = 0; i < values.length; i++) values[i]! *= largest / norm;
  }
}

/**
 * W · Rᵀ in blocks of columns, the last rotation for all that follow where there is one only.
 * @param order where the columns of each block stand; absent: as they are
 */
function turnColumns({ rows, channels, kernel, values }: WeightBlock, rotations: Rotations, order?: Uint32Array): void {
  const { count, size } = rotations;
  const columns = channels * kernel;
  const old = new Float64Array(size);
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block * size < columns; block++) {
      const start = (count === 1 ? 0 : block) * size * size;
      const place = (i: number) => row * columns + (order ? order[block * size + i]! : block * size + i);
      for (let i = 0; i < size; i++) old[i] = values[place(i)]!;
      for (let j = 0; j < size; j++) {
        let sum = 0;
        for (let i = 0; i < size; i++) sum += rotations.values[start + j * size + i]! * old[i]!;
        values[place(j)] = sum;
      }
    }
  }
}

/**
 * Where the columns that a stage's blocks turn stand: PEFT's `block_butterfly_perm`, which puts the even runs of `run` columns within
 * each of `blocks` parts first, the other way round.
 */
function blockButterfly(columns: number, blocks: number, run: number): Uint32Array {
  const part = columns / blocks;
  const evens = Math.ceil(part / run / 2);
  const order = new Uint32Array(columns);
  for (let index = 0; index < columns; index++) {
    const [start, inner] = [Math.floor(index / part) * part, index % part];
    const position = Math.floor(inner / run);
    const source = position < evens ? 2 * position : 2 * (position - evens) + 1;
    order[start + source * run + (inner % run)] = index;
  }
  return order;
}
