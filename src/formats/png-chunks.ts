import { crc32, inflateSync } from "node:zlib";
import { UserError } from "./errors.ts";

/*
 * The chunk layer of PNG (https://www.w3.org/TR/png-3/, "Chunk layout" and "Textual information"): fast-png reads and writes
 * Latin-1 text alone, and trusts the sizes that a file claims.
 */

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

/** A text of more than this is no text. */
const LARGEST_TEXT = 16 * 1024 * 1024;

export interface PngChunk {
  /** Four letters, such as "IHDR". */
  readonly type: string;
  readonly data: Buffer;
}

/** All chunks up to IEND, their checksums checked; throws a UserError naming `path`. */
export function readChunks(path: string, bytes: Uint8Array): PngChunk[] {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (file.length === 0) throw new UserError("file.empty", `${path} is empty (0 bytes).`);
  if (!file.subarray(0, 8).equals(SIGNATURE)) throw new UserError("file.invalid", `${path} is not a PNG image.`);
  const chunks: PngChunk[] = [];
  let offset = 8;
  while (chunks.at(-1)?.type !== "IEND") {
    if (offset + 12 > file.length) throw cutOff(path);
    const length = file.readUInt32BE(offset);
    if (offset + 12 + length > file.length) throw cutOff(path);
    const checked = file.subarray(offset + 4, offset + 8 + length);
    if (crc32(checked) !== file.readUInt32BE(offset + 8 + length)) throw invalidPng(path, "a checksum is wrong");
    chunks.push({ type: checked.toString("latin1", 0, 4), data: checked.subarray(4) });
    offset += 12 + length;
  }
  return chunks;
}

/** A PNG of these chunks. */
export function writeChunks(chunks: readonly PngChunk[]): Buffer {
  const parts = chunks.map(({ type, data }) => {
    const chunk = Buffer.alloc(12 + data.length);
    chunk.writeUInt32BE(data.length, 0);
    chunk.write(type, 4, "latin1");
    data.copy(chunk, 8);
    chunk.writeUInt32BE(crc32(chunk.subarray(4, 8 + data.length)), 8 + data.length);
    return chunk;
  });
  return Buffer.concat([SIGNATURE, ...parts]);
}

/** A text chunk: tEXt where Latin-1 can say it without control characters, else iTXt, which is UTF-8. */
export function textChunk(keyword: string, text: string): PngChunk {
  if (/^[\n\x20-\x7e\xa0-\xff]*$/.test(text)) return { type: "tEXt", data: Buffer.from(`${keyword}\0${text}`, "latin1") };
  // Between the keyword and the text: not compressed (two bytes), no language, no translated keyword.
  return { type: "iTXt", data: Buffer.concat([Buffer.from(`${keyword}\0\0\0\0\0`, "latin1"), Buffer.from(text, "utf8")]) };
}

/** The text of the last tEXt, zTXt or iTXt chunk of this keyword, or undefined where there is none that can be read. */
export function findText(chunks: readonly PngChunk[], keyword: string): string | undefined {
  const start = Buffer.from(`${keyword}\0`, "latin1");
  const chunk = chunks.findLast(({ type, data }) => /^[tzi](?:EXt|TXt)$/.test(type) && data.subarray(0, start.length).equals(start));
  return chunk && decodeText(chunk.type, chunk.data.subarray(start.length));
}

function decodeText(type: string, data: Buffer): string | undefined {
  if (type === "tEXt") return data.toString("latin1");
  if (type === "zTXt") return inflateText(data.subarray(1))?.toString("latin1");
  const compressed = data[0] === 1;
  const languageEnd = data.indexOf(0, 2);
  const keywordEnd = languageEnd < 0 ? -1 : data.indexOf(0, languageEnd + 1);
  if (keywordEnd < 0) return undefined;
  const text = data.subarray(keywordEnd + 1);
  return (compressed ? inflateText(text) : text)?.toString("utf8");
}

function inflateText(data: Buffer): Buffer | undefined {
  try {
    return inflateSync(data, { maxOutputLength: LARGEST_TEXT });
  } catch {
    return undefined;
  }
}

export function invalidPng(path: string, reason: string, cause?: unknown): UserError {
  return new UserError("file.invalid", `${path} is a damaged PNG image: ${reason}. Copy or save it again.`, { cause });
}

function cutOff(path: string): UserError {
  return new UserError("file.truncated", `${path} is cut off: the image's end is missing. Copy or save it again.`);
}
