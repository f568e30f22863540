/** One factor of an update, in fp32. */
export interface Factor {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** The factors of one update by their published names ("hada_w1_a"), numbers such as alpha included. */
export type Factors = ReadonlyMap<string, Factor>;

/** The factors' shapes alone, as a file's header gives them. */
export type FactorShapes = ReadonlyMap<string, readonly number[]>;

/** A weight, or some whole rows of one, as [rows, channels, kernel]: a linear layer's kernel is 1. */
export interface BlockSize {
  readonly rows: number;
  readonly channels: number;
  /** Elements of the kernel: 9 for 3×3. */
  readonly kernel: number;
}

export interface WeightBlock extends BlockSize {
  /** rows · channels · kernel elements, row-major; changed in place. */
  readonly values: Float32Array;
}

/** A weight's shape as a block; a bias or the weight of a normalization is one column. */
export function blockSize([rows = 1, channels = 1, ...kernel]: readonly number[]): BlockSize {
  return { rows, channels, kernel: kernel.reduce((product, size) => product * size, 1) };
}

export function elementsOf({ rows, channels, kernel }: BlockSize): number {
  return rows * channels * kernel;
}

/** A factor that must be there; what is missing was refused when the file was read. */
export function factor(factors: Factors, name: string): Factor {
  const found = factors.get(name);
  if (!found) throw new Error(`The factor ${name} is missing.`);
  return found;
}

/** A factor that is one number. */
export function numberFactor(factors: Factors, name: string): number | undefined {
  return factors.get(name)?.values[0];
}

/** Product of all sizes from `start` on. */
export function sizeFrom(shape: readonly number[], start: number): number {
  return shape.slice(start).reduce((product, size) => product * size, 1);
}
