import { DTYPE_BITS, isDtype } from "./dtype.ts";
import { UserError } from "./errors.ts";
import { findDuplicateKey } from "./json-duplicates.ts";

/** One tensor of a safetensors file; `offset` and `length` are bytes from the start of the file. */
export interface TensorEntry {
  readonly name: string;
  /** As written in the header; see dtype.ts for those that can be read as numbers. */
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly length: number;
}

export interface SafetensorsHeader {
  readonly metadata: ReadonlyMap<string, string>;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
}

/**
 * Parses and checks a header: as strict as the reference implementation (no overlap, no hole, no byte that belongs to no
 * tensor), except that a dtype it does not know is let through.
 * @param path for the messages
 * @param bytes the header's JSON, without the length before it
 * @param fileSize bytes of the whole file
 */
export function parseSafetensorsHeader(path: string, bytes: Uint8Array, fileSize: number): SafetensorsHeader {
  const header = parseJsonObject(path, bytes);
  const metadata = new Map<string, string>();
  const tensors = new Map<string, TensorEntry>();
  const dataStart = 8 + bytes.length;
  for (const [name, value] of Object.entries(header)) {
    if (name === "__metadata__") readMetadata(path, value, metadata);
    else tensors.set(name, readEntry(path, name, value, dataStart));
  }
  checkPlaces(path, [...tensors.values()], dataStart, fileSize);
  return { metadata, tensors };
}

function parseJsonObject(path: string, bytes: Uint8Array): object {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw invalid(path, "its header is not UTF-8 text", error);
  }
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch (error) {
    throw invalid(path, "its header is not valid JSON", error);
  }
  if (!isObject(header)) throw invalid(path, "its header is not a JSON object");
  const duplicate = findDuplicateKey(text, header);
  if (duplicate !== undefined) throw invalid(path, `its header names ${quote(duplicate)} twice`);
  return header;
}

function readMetadata(path: string, value: unknown, metadata: Map<string, string>): void {
  if (!isObject(value)) throw invalid(path, "its __metadata__ is not a JSON object");
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== "string") throw invalid(path, `its __metadata__ ${quote(key)} is not a text`);
    metadata.set(key, text);
  }
}

function readEntry(path: string, name: string, value: unknown, dataStart: number): TensorEntry {
  const fail = (problem: string): never => {
    throw invalid(path, `tensor ${quote(name)} ${problem}`);
  };
  if (!isObject(value)) return fail("is not described by a JSON object");
  const { dtype, shape, data_offsets: offsets } = value as { dtype?: unknown; shape?: unknown; data_offsets?: unknown };
  if (typeof dtype !== "string") return fail("has no dtype");
  if (!isSizes(shape)) return fail("has a shape that is not a list of whole numbers from 0 on");
  if (!isSizes(offsets) || offsets.length !== 2) return fail("has data_offsets that are not two whole numbers from 0 on");
  const [begin, end] = offsets as [number, number];
  if (end < begin) return fail(`ends (byte ${end}) before it begins (byte ${begin})`);
  if (isDtype(dtype)) {
    const bytes = (shape.reduce((product, size) => product * size, 1) * DTYPE_BITS[dtype]) / 8;
    if (bytes !== end - begin) {
      return fail(`of shape [${shape.join(", ")}] and dtype ${dtype} needs ${bytes} bytes, but ${end - begin} are given`);
    }
  }
  return { name, dtype, shape, offset: dataStart + begin, length: end - begin };
}

/** Every byte after the header belongs to exactly one tensor. */
function checkPlaces(path: string, entries: TensorEntry[], dataStart: number, fileSize: number): void {
  entries.sort((a, b) => a.offset - b.offset || a.length - b.length);
  let end = dataStart;
  let previous = "";
  for (const entry of entries) {
    if (entry.offset < end) throw invalid(path, `tensors ${quote(previous)} and ${quote(entry.name)} overlap`);
    if (entry.offset > end) {
      throw invalid(path, `${entry.offset - end} bytes before tensor ${quote(entry.name)} belong to no tensor`);
    }
    end = entry.offset + entry.length;
    previous = entry.name;
  }
  if (end > fileSize) {
    throw new UserError(
      "file.truncated",
      `${path} is cut off: it should have ${end} bytes, but has ${fileSize}. Download or copy it again.`,
    );
  }
  if (end < fileSize) throw invalid(path, `${fileSize - end} bytes at its end belong to no tensor`);
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

/** A name as it stands in a message: in quotes, of one line, cut where it is absurdly long. */
function quote(name: string): string {
  return JSON.stringify(name.length > 200 ? `${name.slice(0, 200)}…` : name);
}

function invalid(path: string, reason: string, cause?: unknown): UserError {
  return new UserError("file.invalid", `${path} is not a valid safetensors file: ${reason}. Download or copy it again.`, { cause });
}
