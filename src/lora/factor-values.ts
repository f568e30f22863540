import { fromFloat32, isNumericDtype, toFloat32, type WeightDtype } from "../formats/numbers.ts";

/** The largest magnitude among a factor's elements; NaN or infinite where an element is. */
export function largestMagnitude(bytes: Uint8Array, dtype: string): number {
  // Without its sign, the pattern of an IEEE number grows with its magnitude; infinity and NaN come last.
  if (dtype === "F16" || dtype === "BF16") {
    const words = halfWords(bytes);
    let largest = 0;
    for (let i = 0; i < words.length; i++) largest = Math.max(largest, words[i]! & 0x7fff);
    return toFloat32(new Uint8Array(Uint16Array.of(largest).buffer), dtype)[0]!;
  }
  const values = factorToFloat32(bytes, dtype);
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  let largest = 0;
  for (let i = 0; i < bits.length; i++) largest = Math.max(largest, bits[i]! & 0x7fffffff);
  return new Float32Array(Uint32Array.of(largest).buffer)[0]!;
}

/** A factor's elements in fp32. */
export function factorToFloat32(bytes: Uint8Array, dtype: string): Float32Array {
  if (!isNumericDtype(dtype)) throw new Error(`A factor of dtype ${dtype} has been let through.`);
  return toFloat32(bytes, dtype);
}

/** The dtype that a delta keeps a factor of this dtype in: its own, or fp32 for those that are no weight's. */
export function storedDtype(dtype: string): WeightDtype {
  return dtype === "F16" || dtype === "BF16" ? dtype : "F32";
}

/** Whether every element times `scale` is a number of the factor's own 16-bit dtype again. */
export function scalesExactly(bytes: Uint8Array, dtype: string, scale: number): boolean {
  if (scale === 1) return true;
  if ((dtype !== "F16" && dtype !== "BF16") || !isPowerOfTwo(scale)) return false;
  const { inexact } = scalingTable(dtype, scale);
  const words = halfWords(bytes);
  for (let i = 0; i < words.length; i++) if (inexact[words[i]!] === 1) return false;
  return true;
}

/** A factor times `scale`, rounded once to `target`, as elements of `target`: 16-bit words, or fp32 numbers. */
export function scaledElements(bytes: Uint8Array, dtype: string, scale: number, target: WeightDtype): Uint16Array | Float32Array {
  if (target === dtype && target !== "F32") {
    const words = halfWords(bytes);
    if (scale === 1) return words;
    const { products } = scalingTable(target, scale);
    return words.map((word) => products[word]!);
  }
  const values = factorToFloat32(bytes, dtype);
  if (scale !== 1) for (let i = 0; i < values.length; i++) values[i]! *= scale;
  return target === "F32" ? values : halfWords(fromFloat32(values, target));
}

function isPowerOfTwo(value: number): boolean {
  return value !== 0 && Number.isInteger(Math.log2(Math.abs(value)));
}

function halfWords(bytes: Uint8Array): Uint16Array {
  return new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
}

/** For each of a 16-bit dtype's patterns the pattern of its product with the scale, and whether that is rounded. */
interface ScalingTable {
  readonly products: Uint16Array;
  readonly inexact: Uint8Array;
}

/** Files have few different scales; the bound is for those that do not. */
const MOST_TABLES = 16;
const tables = new Map<string, ScalingTable>();

function scalingTable(dtype: "F16" | "BF16", scale: number): ScalingTable {
  const key = `${dtype} ${scale}`;
  let table = tables.get(key);
  if (!table) {
    if (tables.size >= MOST_TABLES) tables.clear();
    tables.set(key, (table = makeScalingTable(dtype, scale)));
  }
  return table;
}

function makeScalingTable(dtype: "F16" | "BF16", scale: number): ScalingTable {
  const patterns = Uint16Array.from({ length: 65_536 }, (_, index) => index);
  const exact = toFloat32(new Uint8Array(patterns.buffer), dtype);
  for (let i = 0; i < exact.length; i++) exact[i]! *= scale;
  const rounded = fromFloat32(exact, dtype);
  const back = toFloat32(rounded, dtype);
  const inexact = Uint8Array.from(exact, (value, index) => (value === back[index] ? 0 : 1));
  return { products: halfWords(rounded), inexact };
}
