import { constants, deflateSync, inflateSync } from "node:zlib";
import { convertIndexedToRgb, decode } from "fast-png";
import { formatBytes, writeFileAtomically } from "./atomic-file.ts";
import { UserError } from "./errors.ts";
import { findText, invalidPng, readChunks, textChunk, writeChunks, type PngChunk } from "./png-chunks.ts";
import { RandomAccessFile } from "./random-access-file.ts";
import type { RgbImage } from "./rgb-image.ts";

/** The keyword under which the WebUI family keeps the generation parameters. */
const KEYWORD = "parameters";

const LARGEST_FILE = 256 * 1024 * 1024;
/** Pixels: larger pictures are not read. */
export const LARGEST_IMAGE = 100_000_000;

/** The PNG file's bytes, `parameters` (see parameters.ts) in a text chunk before the pixels. */
export function encodePng(image: RgbImage, parameters?: string): Uint8Array {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(image.width, 0);
  header.writeUInt32BE(image.height, 4);
  header.set([8, RGB], 8);
  return writeChunks([
    { type: "IHDR", data: header },
    ...(parameters === undefined ? [] : [textChunk(KEYWORD, parameters)]),
    // What the filter leaves are small numbers and runs of zeros: looking for longer repetitions costs three times as much and finds few.
    { type: "IDAT", data: deflateSync(filterRows(image), { strategy: constants.Z_RLE }) },
    { type: "IEND", data: Buffer.alloc(0) },
  ]);
}

/** Each row as its differences to the row above: filter type 2, "Up", of https://www.w3.org/TR/png-3/#9Filters. */
function filterRows({ width, height, data }: RgbImage): Uint8Array {
  const length = 3 * width;
  const rows = new Uint8Array((1 + length) * height);
  for (let y = 0; y < height; y++) {
    const row = rows.subarray(y * (1 + length), (y + 1) * (1 + length));
    const start = y * length;
    row[0] = UP;
    if (y === 0) row.set(data.subarray(0, length), 1);
    else for (let i = 0; i < length; i++) row[1 + i] = data[start + i]! - data[start - length + i]!;
  }
  return rows;
}

/** Writes a PNG atomically; throws "disk.full" or "file.unwritable". */
export async function writePng(path: string, image: RgbImage, parameters?: string, signal?: AbortSignal): Promise<void> {
  await writeFileAtomically(path, (writer) => writer.write(encodePng(image, parameters)), signal);
}

/** Reads a PNG of any colour type as RGB: transparency is dropped, 16 bits a channel are cut to 8. */
export async function readPng(path: string): Promise<RgbImage> {
  return decodePng(path, await readFile(path));
}

/** The text of a PNG's `parameters`; throws "png.noParameters" where it has none. */
export async function readPngParameters(path: string): Promise<string> {
  const text = findText(readChunks(path, await readFile(path)), KEYWORD);
  if (text === undefined) {
    throw new UserError("png.noParameters", `${path} holds no generation parameters. Images that were edited or sent on often lose them.`);
  }
  return text;
}

async function readFile(path: string): Promise<Uint8Array> {
  const file = await RandomAccessFile.open(path);
  try {
    if (file.size > LARGEST_FILE) throw new UserError("file.invalid", `${path} is too large for an image (${formatBytes(file.size)}).`);
    return await file.readBytes(0, file.size);
  } finally {
    await file.close();
  }
}

/**
 * Decodes PNG bytes; see `readPng`.
 * @param path for the messages
 */
export function decodePng(path: string, bytes: Uint8Array): RgbImage {
  const chunks = readChunks(path, bytes);
  checkSize(path, chunks);
  // Only what makes up the picture goes to the decoder, which would take the palette that any picture may suggest for its colours.
  const needed = chunks[0]!.data[9] === INDEXED ? /^(?:IHDR|PLTE|tRNS|IDAT|IEND)$/ : /^(?:IHDR|IDAT|IEND)$/;
  const picture = chunks.filter(({ type }) => needed.test(type));
  try {
    return toRgb(decode(writeChunks(picture)));
  } catch (error) {
    throw invalidPng(path, "its pixels cannot be decoded", error);
  }
}

/** Refuses an image whose pixels are too many, or are not as many as its header says: those sizes are allocated. */
function checkSize(path: string, chunks: readonly PngChunk[]): void {
  const header = chunks[0]!;
  if (header.type !== "IHDR" || header.data.length !== 13) throw invalidPng(path, "it does not begin with its header");
  const width = header.data.readUInt32BE(0);
  const height = header.data.readUInt32BE(4);
  const [depth, colorType, , , interlace] = header.data.subarray(8) as unknown as [number, number, number, number, number];
  if (width === 0 || height === 0) throw invalidPng(path, "it has no pixels");
  if (width * height > LARGEST_IMAGE)
    throw new UserError("file.invalid", `${path} is too large: ${width}×${height} pixels. Make it smaller.`);
  if (interlace !== 0 && depth < 8) {
    throw new UserError(
      "file.invalid",
      `${path} is an interlaced image of ${depth} bits, which cannot be read here. Save it without interlacing.`,
    );
  }
  const { channels, depths } = COLOUR_TYPES.get(colorType) ?? { channels: 0, depths: [] };
  if (!depths.includes(depth)) throw invalidPng(path, `colour type ${colorType} of ${depth} bits does not exist`);
  if (colorType === INDEXED && !chunks.some(({ type }) => type === "PLTE")) throw invalidPng(path, "it has no palette");
  const lineBytes = (pixels: number): number => (pixels === 0 ? 0 : 1 + Math.ceil((pixels * channels * depth) / 8));
  const expected =
    interlace === 0
      ? height * lineBytes(width)
      : ADAM7.reduce((sum, [x, y, dx, dy]) => sum + Math.ceil((height - y) / dy) * lineBytes(Math.ceil((width - x) / dx)), 0);
  if (inflatedLength(path, chunks, expected) !== expected) throw invalidPng(path, "pixels are missing");
}

const RGB = 2;
const INDEXED = 3;
/** The filter type whose prediction is the byte above. */
const UP = 2;

/** Samples a pixel and bits a sample, by colour type. */
const COLOUR_TYPES: ReadonlyMap<number, { readonly channels: number; readonly depths: readonly number[] }> = new Map([
  [0, { channels: 1, depths: [1, 2, 4, 8, 16] }],
  [2, { channels: 3, depths: [8, 16] }],
  [INDEXED, { channels: 1, depths: [1, 2, 4, 8] }],
  [4, { channels: 2, depths: [8, 16] }],
  [6, { channels: 4, depths: [8, 16] }],
]);

/** The seven passes of interlacing: first column and row, step between columns and rows. */
const ADAM7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

function inflatedLength(path: string, chunks: readonly PngChunk[], limit: number): number {
  const data = Buffer.concat(chunks.filter(({ type }) => type === "IDAT").map((chunk) => chunk.data));
  try {
    return inflateSync(data, { maxOutputLength: limit }).length;
  } catch (error) {
    throw invalidPng(path, "its pixels cannot be decompressed", error);
  }
}

function toRgb(png: ReturnType<typeof decode>): RgbImage {
  const { width, height } = png;
  const pixels = png.palette ? convertIndexedToRgb(png) : to8Bits(png);
  const channels = png.palette ? pixels.length / (width * height) : png.channels;
  if (channels === 3) return { width, height, data: pixels };
  const data = new Uint8Array(width * height * 3);
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (let channel = 0; channel < 3; channel++) {
      // Greyscale, with or without alpha: its first channel is all three.
      data[pixel * 3 + channel] = pixels[pixel * channels + (channels < 3 ? 0 : channel)]!;
    }
  }
  return { width, height, data };
}

/** Samples of 8 bits: 16 are cut to the upper 8, as Pillow does; packed ones of 1, 2 and 4 bits (greyscale) are spread over 0–255. */
function to8Bits({ data, depth, width, height }: ReturnType<typeof decode>): Uint8Array {
  if (depth === 8) return Uint8Array.from(data);
  if (depth === 16) return Uint8Array.from(data, (sample) => sample >> 8);
  const lineBytes = Math.ceil((width * depth) / 8);
  const largest = 2 ** depth - 1;
  const samples = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const byte = data[y * lineBytes + Math.floor((x * depth) / 8)]!;
      const sample = (byte >> (8 - depth - ((x * depth) % 8))) & largest;
      samples[y * width + x] = (sample * 255) / largest;
    }
  }
  return samples;
}
