import { UserError } from "./errors.ts";
import { describeForeignFile } from "./foreign-file.ts";
import { bytesPerElement, isNumericDtype, toFloat32 } from "./numbers.ts";
import { RandomAccessFile } from "./random-access-file.ts";
import { parseSafetensorsHeader, type TensorEntry } from "./safetensors-header.ts";

export type { TensorEntry } from "./safetensors-header.ts";

/** The reference implementation's limit; no real header comes near it, and it bounds what a hostile file can make us read. */
const LARGEST_HEADER = 100_000_000;

/** Bytes converted at a time, so that widening a large tensor holds little besides the result. A multiple of every element size. */
const CONVERSION_PIECE = 16 * 1024 * 1024;

/**
 * A safetensors file opened for reading: the header is parsed and checked, tensors are read on demand.
 * Format: https://github.com/huggingface/safetensors#format
 */
export class SafetensorsFile {
  readonly path: string;
  /** Bytes of the whole file. */
  readonly size: number;
  /** Bytes of the header's JSON, which starts at byte 8 of the file. */
  readonly headerLength: number;
  readonly metadata: ReadonlyMap<string, string>;
  /** In the header's order. */
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  readonly #file: RandomAccessFile;

  private constructor(
    file: RandomAccessFile,
    headerLength: number,
    metadata: ReadonlyMap<string, string>,
    tensors: ReadonlyMap<string, TensorEntry>,
  ) {
    this.path = file.path;
    this.size = file.size;
    this.headerLength = headerLength;
    this.metadata = metadata;
    this.tensors = tensors;
    this.#file = file;
  }

  /** Reads the header alone. Throws a UserError that says what is wrong with the file, or what it really is. */
  static async open(path: string): Promise<SafetensorsFile> {
    const file = await RandomAccessFile.open(path);
    try {
      const headerBytes = await readHeader(file);
      const { metadata, tensors } = parseSafetensorsHeader(path, headerBytes, file.size);
      return new SafetensorsFile(file, headerBytes.length, metadata, tensors);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** The place, dtype and shape of a tensor; throws "file.invalid" where the file has none of that name. */
  entry(name: string): TensorEntry {
    const entry = this.tensors.get(name);
    if (!entry) throw new UserError("file.invalid", `${this.path} has no tensor "${name}".`);
    return entry;
  }

  /** The tensor's bytes as they are in the file. */
  async readBytes(name: string): Promise<Uint8Array<ArrayBuffer>> {
    return this.readRange(name, 0, this.entry(name).length);
  }

  /** Bytes `begin` (inclusive) to `end` (exclusive) of a tensor. */
  async readRange(name: string, begin: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    const { offset, length } = this.entry(name);
    if (begin < 0 || end < begin || end > length) throw new RangeError(`Bytes ${begin}–${end} of "${name}", which has ${length}.`);
    return this.#file.readBytes(offset + begin, end - begin);
  }

  /** A tensor's bytes in pieces of at most `pieceLength` bytes, in order. */
  async *readPieces(name: string, pieceLength = CONVERSION_PIECE): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const { length } = this.entry(name);
    for (let begin = 0; begin < length; begin += pieceLength) {
      yield await this.readRange(name, begin, Math.min(begin + pieceLength, length));
    }
  }

  /**
   * The tensor's numbers, row-major, from any numeric dtype; 32-bit and wider types are rounded to binary32.
   * Throws "file.invalid" for a dtype whose elements are not numbers of whole bytes, and for unknown ones.
   */
  async readFloat32(name: string): Promise<Float32Array> {
    const { dtype, length } = this.entry(name);
    if (!isNumericDtype(dtype)) {
      throw new UserError("file.invalid", `${this.path}: tensor "${name}" has dtype ${dtype}, which cannot be read as numbers here.`);
    }
    if (dtype === "F32") return new Float32Array((await this.readBytes(name)).buffer);
    const values = new Float32Array(length / bytesPerElement(dtype));
    let start = 0;
    for await (const piece of this.readPieces(name)) {
      toFloat32(piece, dtype, values, start);
      start += piece.length / bytesPerElement(dtype);
    }
    return values;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** The header's JSON bytes, once its length is known to be possible. */
async function readHeader(file: RandomAccessFile): Promise<Uint8Array<ArrayBuffer>> {
  const { path, size } = file;
  if (size === 0) throw new UserError("file.empty", `${path} is empty (0 bytes). Download or copy it again.`);
  const start = new Uint8Array(Math.min(size, 512));
  await file.read(start, 0);
  const foreign = describeForeignFile(path, start);
  if (foreign) throw foreign;
  if (size < 8)
    throw new UserError("file.truncated", `${path} has only ${size} bytes, too few for a safetensors file. Download or copy it again.`);
  const length = Number(new DataView(start.buffer).getBigUint64(0, true));
  const beginsAsJson = start[8] === 0x7b;
  if (length > LARGEST_HEADER || (size > 8 && !beginsAsJson)) {
    throw new UserError("file.invalid", `${path} is not a safetensors file: it does not begin with a header.`);
  }
  if (length > size - 8) {
    throw new UserError(
      "file.truncated",
      `${path} is cut off: its header should have ${length} bytes, but only ${size - 8} follow. Download or copy it again.`,
    );
  }
  const header = new Uint8Array(length);
  await file.read(header, 8);
  return header;
}
