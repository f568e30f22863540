import { randomBytes } from "node:crypto";
import { UserError } from "../formats/errors.ts";
import { elementCount, type Tensor } from "../formats/tensor.ts";

const STATE_WORDS = 624;
const STATE_SHIFT = 397;
/** PyTorch fills longer draws by another algorithm than shorter ones, in groups of this many. */
const GROUP = 16;

/** The 32-bit Mersenne Twister (Matsumoto and Nishimura, 1998), MT19937. */
class MersenneTwister {
  readonly #state = new Uint32Array(STATE_WORDS);
  #next = STATE_WORDS;

  constructor(seed: number) {
    this.#state[0] = seed;
    for (let index = 1; index < STATE_WORDS; index++) {
      const previous = this.#state[index - 1]!;
      this.#state[index] = Math.imul(1812433253, previous ^ (previous >>> 30)) + index;
    }
  }

  /** The next 32 random bits. */
  uint32(): number {
    if (this.#next === STATE_WORDS) this.#regenerate();
    let word = this.#state[this.#next++]!;
    word ^= word >>> 11;
    word ^= (word << 7) & 0x9d2c5680;
    word ^= (word << 15) & 0xefc60000;
    return (word ^ (word >>> 18)) >>> 0;
  }

  #regenerate(): void {
    const state = this.#state;
    for (let index = 0; index < STATE_WORDS; index++) {
      const mixed = (state[index]! & 0x80000000) | (state[(index + 1) % STATE_WORDS]! & 0x7fffffff);
      const twisted = (mixed >>> 1) ^ (mixed & 1 ? 0x9908b0df : 0);
      state[index] = state[(index + STATE_SHIFT) % STATE_WORDS]! ^ twisted;
    }
    this.#next = 0;
  }
}

/**
 * The normal numbers of PyTorch's CPU generator, float32: `torch.Generator("cpu").manual_seed(seed)` and `torch.randn`.
 * Successive draws continue the stream as there. Equal to PyTorch to 2e-6, because its vectorised logarithm and cosine are
 * approximations that differ from machine to machine.
 */
export class TorchGenerator {
  readonly #twister: MersenneTwister;
  /** The second number of the last Box-Muller pair of a short draw, which the next short draw begins with. */
  #left: number | undefined;

  /** @param seed 64 bits, signed or unsigned, as `manual_seed` takes it; the generator uses the low 32. */
  constructor(seed: bigint) {
    if (seed < -(2n ** 63n) || seed >= 2n ** 64n) {
      throw new UserError("option.invalid", `Seed ${seed} does not fit in 64 bits: use one from ${-(2n ** 63n)} to ${2n ** 64n - 1n}.`);
    }
    this.#twister = new MersenneTwister(Number(BigInt.asUintN(32, seed)));
  }

  /** The next `count` standard normal numbers, as one call of `torch.randn(count)` gives them. */
  randn(count: number): Float32Array {
    const values = new Float32Array(count);
    if (count < GROUP) {
      for (let index = 0; index < count; index++) values[index] = this.#normal();
      return values;
    }
    for (let index = 0; index < count; index++) values[index] = this.#uniform24();
    for (let start = 0; start + GROUP <= count; start += GROUP) boxMuller(values, start);
    if (count % GROUP !== 0) {
      // The last group is drawn again whole, over numbers already made.
      const start = count - GROUP;
      for (let index = start; index < count; index++) values[index] = this.#uniform24();
      boxMuller(values, start);
    }
    return values;
  }

  /** One number of a short draw: Box-Muller in double precision, two numbers at a time. */
  #normal(): number {
    if (this.#left !== undefined) {
      const value = this.#left;
      this.#left = undefined;
      return value;
    }
    const angle = 2 * Math.PI * this.#uniform53();
    const radius = Math.sqrt(-2 * Math.log1p(-this.#uniform53()));
    this.#left = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  /** Uniform in [0, 1) with 24 bits. */
  #uniform24(): number {
    return (this.#twister.uint32() & 0xffffff) / 2 ** 24;
  }

  /** Uniform in [0, 1) with the low 53 of 64 bits; the first word drawn is the high one. */
  #uniform53(): number {
    const high = this.#twister.uint32() & 0x1fffff;
    return (high * 2 ** 32 + this.#twister.uint32()) / 2 ** 53;
  }
}

/** Turns 16 uniform numbers from `start` on into normal ones: the first eight give the radius, the other eight the angle. */
function boxMuller(values: Float32Array, start: number): void {
  for (let index = start; index < start + GROUP / 2; index++) {
    const radius = Math.fround(Math.sqrt(-2 * Math.fround(Math.log(1 - values[index]!))));
    const angle = Math.fround(Math.fround(2 * Math.PI) * values[index + GROUP / 2]!);
    values[index] = radius * Math.cos(angle);
    values[index + GROUP / 2] = radius * Math.sin(angle);
  }
}

/**
 * Unit-variance noise of the given shape [B,C,h,w] from one draw, as diffusers makes it with one generator and ComfyUI with
 * one seed: image i of a batch has the numbers that follow those of image i − 1. The first image has those of a batch of one
 * (exactly so where the numbers of an image are a multiple of 16).
 */
export function randomTensor(generator: TorchGenerator, dims: readonly number[]): Tensor {
  return { dims, data: generator.randn(elementCount(dims)) };
}

/** A seed for a person who gave none: 63 bits, so that it is positive wherever seeds are signed. */
export function randomSeed(): bigint {
  return randomBytes(8).readBigUInt64LE() >> 1n;
}
