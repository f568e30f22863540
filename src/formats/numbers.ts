import { DTYPE_BITS, isDtype, type Dtype } from "./dtype.ts";
import { float8Table } from "./float8.ts";
import { bf16ToFloat32, float32ToBf16, float32ToFp16, fp16ToFloat32 } from "./half.ts";

/** Dtypes whose elements are one number each, of whole bytes. Packed 4- and 6-bit types and complex numbers are not. */
export type NumericDtype = Exclude<Dtype, "F4" | "F6_E2M3" | "F6_E3M2" | "C64">;

/** The dtypes that weights are written in. */
export type WeightDtype = "F32" | "F16" | "BF16";

const NOT_NUMERIC: ReadonlySet<string> = new Set(["F4", "F6_E2M3", "F6_E3M2", "C64"]);

/** Whether `toFloat32` can read this dtype. */
export function isNumericDtype(name: string): name is NumericDtype {
  return isDtype(name) && !NOT_NUMERIC.has(name);
}

/** Bytes of one element. */
export function bytesPerElement(dtype: NumericDtype): number {
  return DTYPE_BITS[dtype] / 8;
}

/**
 * Widens (or, from 32-bit integers and all 64-bit types, rounds) little-endian elements to binary32.
 * @param bytes whole elements; need not be aligned
 * @param target where the numbers go, from its element `start` on
 */
export function toFloat32(
  bytes: Uint8Array,
  dtype: NumericDtype,
  target = new Float32Array(bytes.length / bytesPerElement(dtype)),
  start = 0,
): Float32Array {
  const size = bytesPerElement(dtype);
  const count = bytes.length / size;
  // Typed arrays need an aligned start.
  const { buffer, byteOffset } = (bytes.byteOffset % size === 0 ? bytes : bytes.slice()) as Uint8Array<ArrayBuffer>;
  switch (dtype) {
    case "F32":
      target.set(new Float32Array(buffer, byteOffset, count), start);
      return target;
    case "F16":
      return fp16ToFloat32(new Uint16Array(buffer, byteOffset, count), target, start);
    case "BF16":
      return bf16ToFloat32(new Uint16Array(buffer, byteOffset, count), target, start);
    case "F8_E4M3":
    case "F8_E5M2":
    case "F8_E8M0": {
      const table = float8Table(dtype);
      for (let i = 0; i < count; i++) target[start + i] = table[bytes[i]!]!;
      return target;
    }
    case "I64":
    case "U64": {
      const integers = dtype === "I64" ? new BigInt64Array(buffer, byteOffset, count) : new BigUint64Array(buffer, byteOffset, count);
      for (let i = 0; i < count; i++) target[start + i] = Number(integers[i]);
      return target;
    }
    case "BOOL":
      for (let i = 0; i < count; i++) target[start + i] = bytes[i] === 0 ? 0 : 1;
      return target;
    default:
      target.set(new INTEGER_ARRAY[dtype](buffer, byteOffset, count), start);
      return target;
  }
}

const INTEGER_ARRAY = {
  U8: Uint8Array,
  I8: Int8Array,
  U16: Uint16Array,
  I16: Int16Array,
  U32: Uint32Array,
  I32: Int32Array,
  F64: Float64Array,
} as const;

/** The bytes of `values` in a dtype that weights are stored in; narrowing rounds to nearest, ties to even. */
export function fromFloat32(values: Float32Array, dtype: WeightDtype): Uint8Array {
  const words = dtype === "F32" ? values : dtype === "F16" ? float32ToFp16(values) : float32ToBf16(values);
  return new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
}

/** How many elements are NaN and how many are +Infinity or -Infinity. */
export function findNonFinite(values: Float32Array): { readonly nan: number; readonly inf: number } {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  let nan = 0;
  let inf = 0;
  for (let i = 0; i < bits.length; i++) {
    const magnitude = bits[i]! & 0x7fffffff;
    if (magnitude < 0x7f800000) continue;
    if (magnitude === 0x7f800000) inf++;
    else nan++;
  }
  return { nan, inf };
}
