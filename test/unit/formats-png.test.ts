import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { crc32, deflateSync } from "node:zlib";
import { encode } from "fast-png";
import { describe, expect, test } from "vitest";
import { decodePng, encodePng, readPng, readPngParameters, writePng } from "../../src/formats/png.ts";
import { failure, fixture, temporaryFolder, writeBytes } from "./formats-support.ts";

const folder = await temporaryFolder();

/** What Pillow reads from its own files, see make_formats.py. */
const pictures = JSON.parse(readFileSync(fixture("pictures.json"), "utf8")) as Record<string, number[]>;

test.each(Object.entries(pictures))("a picture of kind %s is read as Pillow reads it", async (kind, pixels) => {
  const { width, height, data } = await readPng(fixture(`${kind}.png`));
  expect([width, height]).toEqual([5, 3]);
  expect([...data]).toEqual(pixels);
});

test("an interlaced picture is read", () => {
  const data = Uint8Array.from({ length: 11 * 9 * 3 }, (_, i) => (i * 37) % 256);
  const bytes = encode({ width: 11, height: 9, data, channels: 3, depth: 8 }, { interlace: "Adam7" });
  expect(decodePng("FILE", bytes)).toEqual({ width: 11, height: 9, data });
});

test.each([
  ["latin1", "café\nSteps: 20"],
  ["latin1-compressed", "café\nSteps: 20"],
  ["unicode", "猫 🎨\nSteps: 20"],
  ["unicode-compressed", "猫 🎨\nSteps: 20"],
])("parameters that Pillow wrote as %s are read", async (kind, text) => {
  expect(await readPngParameters(fixture(`text-${kind}.png`))).toBe(text);
});

const image = { width: 2, height: 2, data: Uint8Array.from([255, 0, 0, 0, 255, 0, 0, 0, 255, 1, 2, 3]) };

test.each([
  ["Latin-1", "café\nSteps: 20", "tEXt"],
  ["nothing", "", "tEXt"],
  ["a control character", "a\u0085b\u0000c", "iTXt"],
  ["every plane", "\u{10437}\u{20bb7}\u{30000}\u{e0041}\u{f0000}\u{10fffd} 猫", "iTXt"],
])("parameters of %s come back, before the pixels", async (_what, text, type) => {
  const path = join(folder, "written.png");
  await writePng(path, image, text);
  expect(await readPngParameters(path)).toBe(text);
  expect(await readPng(path)).toEqual(image);
  const bytes = (await readFile(path)).toString("latin1");
  expect(bytes.indexOf(type)).toBe(37);
  expect(bytes.indexOf("IDAT")).toBeGreaterThan(37);
});

test("a picture without parameters says so", async () => {
  const path = await writeBytes(folder, "bare.png", encodePng(image));
  expect(await failure(readPngParameters(path), path)).toBe(
    "png.noParameters: FILE holds no generation parameters. Images that were edited or sent on often lose them.",
  );
});

describe("refuses a picture", () => {
  const good = Buffer.from(encodePng(image));
  const chunk = (type: string, data: Uint8Array) => {
    const checked = Buffer.concat([Buffer.from(type), data]);
    const bytes = Buffer.alloc(checked.length + 8);
    bytes.writeUInt32BE(data.length);
    checked.copy(bytes, 4);
    bytes.writeUInt32BE(crc32(checked), checked.length + 4);
    return bytes;
  };
  const png = (width: number, height: number, format: number[], pixels: Uint8Array) => {
    const header = Buffer.alloc(13);
    header.writeUInt32BE(width, 0);
    header.writeUInt32BE(height, 4);
    header.set(format, 8);
    return Buffer.concat([good.subarray(0, 8), chunk("IHDR", header), chunk("IDAT", deflateSync(pixels)), chunk("IEND", Buffer.alloc(0))]);
  };
  const RGB = [8, 2, 0, 0, 0];
  const damaged = (reason: string) => `file.invalid: FILE is a damaged PNG image: ${reason}. Copy or save it again.`;
  const flipped = Buffer.from(good);
  flipped[45]! ^= 1;
  const cases: readonly (readonly [what: string, bytes: Uint8Array, error: string])[] = [
    ["that is empty", Buffer.alloc(0), "file.empty: FILE is empty (0 bytes)."],
    ["that is none", Buffer.from("GIF89a"), "file.invalid: FILE is not a PNG image."],
    ["that is cut off", good.subarray(0, -5), "file.truncated: FILE is cut off: the image's end is missing. Copy or save it again."],
    [
      "that ends after its signature",
      good.subarray(0, 8),
      "file.truncated: FILE is cut off: the image's end is missing. Copy or save it again.",
    ],
    ["with a changed byte", flipped, damaged("a checksum is wrong")],
    [
      "without a header",
      Buffer.concat([good.subarray(0, 8), chunk("IEND", Buffer.alloc(0))]),
      damaged("it does not begin with its header"),
    ],
    ["without pixels", png(0, 4, RGB, Buffer.alloc(0)), damaged("it has no pixels")],
    ["with too few pixels", png(4, 4, RGB, Buffer.alloc(51)), damaged("pixels are missing")],
    ["with more pixels than it says", png(4, 4, RGB, Buffer.alloc(1e7)), damaged("its pixels cannot be decompressed")],
    [
      "that would fill the memory",
      png(2 ** 31 - 1, 2 ** 31 - 1, RGB, Buffer.alloc(9)),
      "file.invalid: FILE is too large: 2147483647×2147483647 pixels. Make it smaller.",
    ],
    [
      "of a colour type that does not exist",
      png(1, 1, [8, 5, 0, 0, 0], Buffer.alloc(4)),
      damaged("colour type 5 of 8 bits does not exist"),
    ],
    [
      "of a depth that its colour type does not have",
      png(1, 1, [4, 2, 0, 0, 0], Buffer.alloc(3)),
      damaged("colour type 2 of 4 bits does not exist"),
    ],
    ["with an unknown filter", png(1, 1, RGB, Buffer.from([9, 0, 0, 0])), damaged("its pixels cannot be decoded")],
    ["with a palette that is missing", png(1, 1, [8, 3, 0, 0, 0], Buffer.alloc(2)), damaged("it has no palette")],
    [
      "that is interlaced and of few bits",
      png(4, 4, [4, 0, 0, 0, 1], Buffer.alloc(20)),
      "file.invalid: FILE is an interlaced image of 4 bits, which cannot be read here. Save it without interlacing.",
    ],
  ];
  test.each(cases)("%s", async (_what, bytes, error) => {
    const path = await writeBytes(folder, "bad.png", bytes);
    expect(await failure(readPng(path), path)).toBe(error);
  });
});
