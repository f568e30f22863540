import { writeFileAtomically } from "./atomic-file.ts";
import type { SafetensorsFile, TensorEntry } from "./safetensors.ts";
import { formatHeader, type WriteOptions } from "./safetensors-writer.ts";

/**
 * Writes a copy of a safetensors file in which some tensors have other numbers: names, dtypes, shapes, the header's order and the place
 * of each tensor among the bytes stay. One tensor at most is in memory at a time; atomically (see `writeFileAtomically`).
 * @param replace gives a tensor's new bytes when its turn comes; undefined: they are copied
 * Throws "disk.full", "file.unwritable" or "cancelled", and what `replace` throws.
 */
export async function rewriteSafetensors(
  file: SafetensorsFile,
  path: string,
  metadata: Readonly<Record<string, string>>,
  replace: (entry: TensorEntry) => Promise<Uint8Array | undefined>,
  { signal, onProgress }: WriteOptions = {},
): Promise<void> {
  const entries = [...file.tensors.values()];
  const dataStart = 8 + file.headerLength;
  const header = formatHeader(
    entries.map(({ name, dtype, shape, offset, length }) => ({ name, dtype, shape, begin: offset - dataStart, length })),
    metadata,
  );
  const total = file.size - dataStart;
  let done = 0;
  await writeFileAtomically(
    path,
    async (writer) => {
      const write = async (bytes: Uint8Array) => {
        await writer.write(bytes);
        onProgress?.((done += bytes.length), total);
      };
      await writer.write(header);
      for (const entry of entries.toSorted((a, b) => a.offset - b.offset || a.length - b.length)) {
        const bytes = await replace(entry);
        if (!bytes) for await (const piece of file.readPieces(entry.name)) await write(piece);
        else if (bytes.length === entry.length) await write(bytes);
        else throw new Error(`"${entry.name}" has ${entry.length} bytes, its replacement ${bytes.length}.`);
      }
    },
    signal,
  );
}
