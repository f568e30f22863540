import { createHash } from "node:crypto";
import { throwIfCancelled } from "../formats/errors.ts";
import { RandomAccessFile } from "../formats/random-access-file.ts";
import type { ByteRange, DigestOptions, RangeDigest, WeightHasher } from "./weight-hashes.ts";

/** Bytes read at a time: little to keep in memory, and a whole number of every element. */
const PIECE = 4 * 1024 * 1024;

/** Hashes with Node's crypto, one weight after the other: for platforms without the native add-on. */
export class CryptoHasher implements WeightHasher {
  async digest(ranges: readonly ByteRange[], { signal, onProgress }: DigestOptions = {}): Promise<readonly RangeDigest[]> {
    const buffer = new Uint8Array(PIECE);
    const files = new Map<string, RandomAccessFile>();
    const digests: RangeDigest[] = [];
    let done = 0;
    try {
      for (const range of ranges) {
        let file = files.get(range.path);
        if (!file) files.set(range.path, (file = await RandomAccessFile.open(range.path)));
        const hash = createHash("md5");
        let [nan, infinite] = [0, 0];
        for (let begin = 0; begin < range.length; begin += PIECE) {
          throwIfCancelled(signal);
          const piece = buffer.subarray(0, Math.min(PIECE, range.length - begin));
          await file.read(piece, range.offset + begin);
          hash.update(piece);
          const counts = countNonFinite(piece, range.dtype);
          nan += counts.nan;
          infinite += counts.infinite;
          onProgress?.((done += piece.length));
        }
        digests.push({ md5: hash.digest("hex"), nan, infinite });
      }
    } finally {
      for (const file of files.values()) await file.close();
    }
    return digests;
  }
}

/** The pattern of infinity, above which all are NaN, in the words of each dtype. */
const INFINITY: Readonly<Record<string, number>> = { F32: 0x7f80_0000, F16: 0x7c00, BF16: 0x7f80 };

function countNonFinite(bytes: Uint8Array<ArrayBuffer>, dtype: string): { nan: number; infinite: number } {
  const infinity = INFINITY[dtype];
  if (infinity === undefined) return { nan: 0, infinite: 0 };
  const Words = dtype === "F32" ? Uint32Array : Uint16Array;
  const words = new Words(bytes.buffer, bytes.byteOffset, Math.floor(bytes.length / Words.BYTES_PER_ELEMENT));
  const mask = dtype === "F32" ? 0x7fff_ffff : 0x7fff;
  let [nan, infinite] = [0, 0];
  for (let i = 0; i < words.length; i++) {
    const magnitude = words[i]! & mask;
    if (magnitude < infinity) continue;
    if (magnitude === infinity) infinite++;
    else nan++;
  }
  return { nan, infinite };
}
