/*
 * The 8-bit floating-point formats. E4M3 (as in safetensors and PyTorch's float8_e4m3fn: no infinity, NaN is 0x7f and
 * 0xff) and E5M2 follow arXiv:2209.05433; E8M0, the scale of the OCP microscaling formats, is a bare power of two.
 */

export type Float8Dtype = "F8_E4M3" | "F8_E5M2" | "F8_E8M0";

function decodeE4M3(byte: number): number {
  const sign = byte & 0x80 ? -1 : 1;
  const exponent = (byte >> 3) & 0xf;
  const fraction = byte & 7;
  if (exponent === 0xf && fraction === 7) return NaN;
  return exponent === 0 ? sign * fraction * 2 ** -9 : sign * (8 + fraction) * 2 ** (exponent - 10);
}

function decodeE5M2(byte: number): number {
  const sign = byte & 0x80 ? -1 : 1;
  const exponent = (byte >> 2) & 0x1f;
  const fraction = byte & 3;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * fraction * 2 ** -16 : sign * (4 + fraction) * 2 ** (exponent - 17);
}

function decodeE8M0(byte: number): number {
  return byte === 0xff ? NaN : 2 ** (byte - 127);
}

const DECODE = { F8_E4M3: decodeE4M3, F8_E5M2: decodeE5M2, F8_E8M0: decodeE8M0 } as const;

const tables = new Map<Float8Dtype, Float32Array>();

/** The number each of the 256 patterns stands for. */
export function float8Table(dtype: Float8Dtype): Float32Array {
  let table = tables.get(dtype);
  if (!table) {
    table = Float32Array.from({ length: 256 }, (_, byte) => DECODE[dtype](byte));
    tables.set(dtype, table);
  }
  return table;
}
