/*
 * The 16-bit floating-point formats: IEEE 754 binary16 (fp16) and bfloat16, the upper half of binary32. Narrowing rounds to
 * nearest, ties to even, as numpy and PyTorch do; a NaN stays a NaN, too large a number becomes infinity. Bits are
 * handled as little-endian 16-bit words, as files and networks hold them.
 */

/** The number an fp16 bit pattern stands for, as binary32 bits. */
function fp16ToFloat32Bits(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return (sign | 0x7f800000 | (fraction << 13)) >>> 0;
  if (exponent > 0) return (sign | ((exponent + 112) << 23) | (fraction << 13)) >>> 0;
  if (fraction === 0) return sign >>> 0;
  // Subnormal: binary32 can hold it as a normal number, so shift the leading one into its hidden place.
  const shift = Math.clz32(fraction) - 21;
  return (sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13)) >>> 0;
}

let fp16Table: Uint32Array | undefined;

/** All 65,536 fp16 patterns as binary32 bits; bits rather than numbers, so that a NaN keeps its payload. */
function fp16BitsTable(): Uint32Array {
  fp16Table ??= Uint32Array.from({ length: 65_536 }, (_, half) => fp16ToFloat32Bits(half));
  return fp16Table;
}

/** Widens fp16 words into `target`, from its element `start` on. Exact. */
export function fp16ToFloat32(words: Uint16Array, target = new Float32Array(words.length), start = 0): Float32Array {
  const table = fp16BitsTable();
  const bits = new Uint32Array(target.buffer, target.byteOffset, target.length);
  for (let i = 0; i < words.length; i++) bits[start + i] = table[words[i]!]!;
  return target;
}

/** Widens bfloat16 words into `target`, from its element `start` on. Exact. */
export function bf16ToFloat32(words: Uint16Array, target = new Float32Array(words.length), start = 0): Float32Array {
  const bits = new Uint32Array(target.buffer, target.byteOffset, target.length);
  for (let i = 0; i < words.length; i++) bits[start + i] = words[i]! << 16;
  return target;
}

/**
 * The fp16 pattern nearest to a number given as binary32 bits. Adding just under half of the last kept place, and that
 * place's own bit, before cutting rounds to nearest with ties to even; a carry runs into the exponent, and from there
 * to infinity, as it should.
 */
function float32BitsToFp16(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >>> 13) & 0x3ff);
  if (magnitude >= 0x47800000) return sign | 0x7c00;
  if (magnitude >= 0x38800000) return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  // Below 2^-25 (and exactly there, the tie with zero) nothing is left of it.
  if (magnitude <= 0x33000000) return sign;
  const shift = 126 - (magnitude >>> 23);
  const fraction = (magnitude & 0x7fffff) | 0x800000;
  const kept = fraction >>> shift;
  const rest = fraction & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return sign | (kept + (rest > half || (rest === half && (kept & 1) === 1) ? 1 : 0));
}

/** Narrows to fp16 words. Above 65,519.99… the result is infinity, as in numpy and PyTorch. */
export function float32ToFp16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const words = new Uint16Array(values.length);
  for (let i = 0; i < words.length; i++) words[i] = float32BitsToFp16(bits[i]!);
  return words;
}

/** Narrows to bfloat16 words; every NaN becomes a quiet NaN of its sign. */
export function float32ToBf16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const words = new Uint16Array(values.length);
  for (let i = 0; i < words.length; i++) {
    const value = bits[i]!;
    const isNaN = (value & 0x7fffffff) > 0x7f800000;
    words[i] = isNaN ? (value >>> 16) | 0x40 : (value + 0x7fff + ((value >>> 16) & 1)) >>> 16;
  }
  return words;
}
