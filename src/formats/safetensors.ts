import { open, type FileHandle } from "node:fs/promises";
import { UserError } from "./errors.ts";

/** One tensor of a safetensors file; `offset` and `length` are bytes from the start of the file. */
export interface TensorEntry {
  readonly name: string;
  /** As written in the header; see dtype.ts for those that can be read as numbers. */
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly length: number;
}

/**
 * A safetensors file opened for reading: the header is parsed, tensors are read on demand.
 * Format: https://github.com/huggingface/safetensors#format
 */
export class SafetensorsFile {
  private constructor(
    readonly path: string,
    readonly size: number,
    readonly metadata: ReadonlyMap<string, string>,
    readonly tensors: ReadonlyMap<string, TensorEntry>,
    private readonly handle: FileHandle,
  ) {}

  static async open(path: string): Promise<SafetensorsFile> {
    const handle = await open(path, "r");
    const { size } = await handle.stat();
    const start = Buffer.alloc(8);
    await handle.read(start, 0, 8, 0);
    const headerLength = Number(start.readBigUInt64LE(0));
    const headerBytes = Buffer.alloc(headerLength);
    await handle.read(headerBytes, 0, headerLength, 8);
    const header = JSON.parse(headerBytes.toString("utf8")) as Record<string, unknown>;
    const metadata = new Map<string, string>();
    const tensors = new Map<string, TensorEntry>();
    for (const [name, value] of Object.entries(header)) {
      if (name === "__metadata__") {
        for (const [key, text] of Object.entries(value as Record<string, string>)) metadata.set(key, text);
        continue;
      }
      const entry = value as { dtype: string; shape: number[]; data_offsets: [number, number] };
      const [begin, end] = entry.data_offsets;
      tensors.set(name, { name, dtype: entry.dtype, shape: entry.shape, offset: 8 + headerLength + begin, length: end - begin });
    }
    return new SafetensorsFile(path, size, metadata, tensors, handle);
  }

  entry(name: string): TensorEntry {
    const entry = this.tensors.get(name);
    if (!entry) throw new UserError("file.invalid", `${this.path} has no tensor "${name}".`);
    return entry;
  }

  /** The tensor's bytes as they are in the file. */
  async readBytes(name: string): Promise<Uint8Array> {
    const { offset, length } = this.entry(name);
    const bytes = Buffer.allocUnsafeSlow(length);
    await this.handle.read(bytes, 0, length, offset);
    return bytes;
  }

  async close(): Promise<void> {
    await this.handle.close();
  }
}
