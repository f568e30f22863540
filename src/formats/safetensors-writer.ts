import { writeFileAtomically } from "./atomic-file.ts";
import { DTYPE_BITS, isDtype } from "./dtype.ts";

/** One tensor to be written. Its bytes are asked for once, when its turn comes. */
export interface TensorSource {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Bytes; needed for a dtype that dtype.ts does not know, otherwise what dtype and shape say. */
  readonly length?: number;
  chunks(): AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

export interface WriteOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called after each piece, with bytes of tensor data. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/**
 * Writes a safetensors file, one piece of one tensor in memory at a time, and atomically (see `writeFileAtomically`).
 * As the reference implementation does, wider elements come first, so that every tensor is aligned to its element size; otherwise
 * the order given is kept.
 * Throws "disk.full", "file.unwritable" or "cancelled".
 */
export async function writeSafetensors(
  path: string,
  tensors: readonly TensorSource[],
  metadata: Readonly<Record<string, string>>,
  { signal, onProgress }: WriteOptions = {},
): Promise<void> {
  const ordered = tensors.toSorted((a, b) => elementBits(b.dtype) - elementBits(a.dtype));
  const header = formatHeader(placesOf(ordered), metadata);
  const total = ordered.reduce((sum, tensor) => sum + byteLength(tensor), 0);
  let done = 0;
  await writeFileAtomically(
    path,
    async (writer) => {
      await writer.write(header);
      for (const tensor of ordered) {
        const end = done + byteLength(tensor);
        for await (const chunk of tensor.chunks()) {
          done += chunk.length;
          if (done > end) throw new Error(`Tensor "${tensor.name}" gave more bytes than its shape has.`);
          await writer.write(chunk);
          onProgress?.(done, total);
        }
        if (done !== end) throw new Error(`Tensor "${tensor.name}" gave ${end - done} bytes fewer than its shape has.`);
      }
    },
    signal,
  );
}

/** A tensor's place in a file: `begin` and `length` are bytes from the end of the header. */
export interface TensorPlace {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly length: number;
}

/** One tensor's bytes behind the other's. */
function placesOf(tensors: readonly TensorSource[]): TensorPlace[] {
  let begin = 0;
  return tensors.map((tensor) => {
    const { name, dtype, shape } = tensor;
    const length = byteLength(tensor);
    begin += length;
    return { name, dtype, shape, begin: begin - length, length };
  });
}

/** A header's length and JSON, filled up with spaces to a multiple of 8 bytes. */
export function formatHeader(places: readonly TensorPlace[], metadata: Readonly<Record<string, string>>): Uint8Array {
  const names = new Set<string>();
  // Written member by member: an object would lose a tensor called "__proto__" and reorder ones called "1", "2".
  const members = places.map(({ name, dtype, shape, begin, length }) => {
    if (name === "__metadata__" || names.has(name)) throw new Error(`A safetensors file cannot hold a tensor "${name}" here.`);
    names.add(name);
    return `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, begin + length] })}`;
  });
  if (Object.keys(metadata).length > 0) members.unshift(`"__metadata__":${JSON.stringify(metadata)}`);
  const json = Buffer.from(`{${members.join(",")}}`);
  const length = Math.ceil(json.length / 8) * 8;
  const header = Buffer.alloc(8 + length, " ");
  header.writeBigUInt64LE(BigInt(length));
  json.copy(header, 8);
  return header;
}

function elementBits(dtype: string): number {
  return isDtype(dtype) ? DTYPE_BITS[dtype] : 0;
}

function byteLength({ name, dtype, shape, length }: TensorSource): number {
  if (!isDtype(dtype)) {
    if (length === undefined) throw new Error(`Tensor "${name}" of unknown dtype ${dtype} needs its length.`);
    return length;
  }
  return (shape.reduce((product, size) => product * size, 1) * DTYPE_BITS[dtype]) / 8;
}
