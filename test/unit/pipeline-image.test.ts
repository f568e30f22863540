import { describe, expect, test } from "vitest";
import type { RgbImage } from "../../src/formats/rgb-image.ts";
import { contactSheet } from "../../src/pipeline/contact-sheet.ts";
import { imagesFromTensor, sizeOf, tensorFromImages } from "../../src/pipeline/image.ts";
import { decoderInput, latentsFromMoments } from "../../src/pipeline/latents.ts";
import { resize } from "../../src/pipeline/resize.ts";
import { readFloats } from "./pipeline-fixtures.ts";

const fixture = readFloats(new URL("../fixtures/image/image.safetensors", import.meta.url));
const floats = (name: string) => fixture.get(name)!;
const picture = (width: number, height: number, data: ArrayLike<number>): RgbImage => ({ width, height, data: Uint8Array.from(data) });

describe("levels", () => {
  test("of a VAE decoder's output are diffusers'", () => {
    const images = imagesFromTensor({ dims: [2, 3, 10, 20], data: floats("decoded") });
    expect(images.map(({ width, height }) => [width, height])).toEqual([
      [20, 10],
      [20, 10],
    ]);
    expect(images.flatMap((image) => [...image.data])).toEqual([...floats("decoded levels")]);
  });

  test("NaN is an error, not black", () => {
    const data = Float32Array.of(0, NaN, 0);
    expect(() => imagesFromTensor({ dims: [1, 3, 1, 1], data })).toThrow(/NaN/);
  });

  test("a decoder that does not give RGB", () => {
    expect(() => imagesFromTensor({ dims: [1, 4, 1, 1], data: new Float32Array(4) })).toThrow("4 channels, not 3");
  });

  test("for a VAE encoder are diffusers'", () => {
    const levels = floats("encoder levels");
    const half = levels.length / 2;
    const input = tensorFromImages([picture(16, 8, levels.subarray(0, half)), picture(16, 8, levels.subarray(half))]);
    expect(input.dims).toEqual([2, 3, 8, 16]);
    expect(input.data).toEqual(floats("encoder input"));
  });

  test("go to the encoder's range and back unchanged", () => {
    const image = picture(
      16,
      16,
      Array.from({ length: 768 }, (_, index) => index % 256),
    );
    expect(imagesFromTensor(tensorFromImages([image]))).toEqual([image]);
  });

  test.each([
    [[], "no picture"],
    [[picture(1, 1, [0, 0, 0]), picture(2, 1, [0, 0, 0, 0, 0, 0])], "1×1 and 2×1"],
  ])("pictures must have one size", (images, message) => expect(() => sizeOf(images)).toThrow(message));
});

describe("resize", () => {
  const names = [...fixture.keys()].filter((name) => /^resize .* from$/.test(name));

  test("the fixture has cases", () => expect(names.length).toBeGreaterThan(5));

  test.each(names)("%s is Pillow's Lanczos within one level", (name) => {
    const [width, height, targetWidth, targetHeight] = name.match(/\d+/g)!.map(Number) as [number, number, number, number];
    const actual = resize(picture(width, height, floats(name)), targetWidth, targetHeight);
    const expected = floats(name.replace("from", "to"));
    expect([actual.width, actual.height, actual.data.length]).toEqual([targetWidth, targetHeight, expected.length]);
    expect(Math.max(...actual.data.map((level, index) => Math.abs(level - expected[index]!)))).toBeLessThanOrEqual(1);
  });

  test.each([0, -1, 1.5, NaN])("a width of %d is refused", (width) => {
    expect(() => resize(picture(1, 1, [0, 0, 0]), width, 8)).toThrow(`The width ${width} is not`);
  });
});

describe("latents", () => {
  const moments = { dims: [2, 8, 3, 5], data: floats("moments") };

  test("of a VAE encoder's moments are diffusers'", () => {
    const noise = { dims: [2, 4, 3, 5], data: floats("moments noise") };
    const latents = latentsFromMoments(moments, noise, { scale: 0.3611, shift: 0.1159 });
    const expected = floats("moments latents");
    expect(latents.dims).toEqual([2, 4, 3, 5]);
    for (const [index, value] of latents.data.entries()) {
      expect(Math.abs(value - expected[index]!)).toBeLessThanOrEqual(1e-6 * Math.max(1, Math.abs(expected[index]!)));
    }
    const decoded = decoderInput(latents, { scale: 0.3611, shift: 0.1159 });
    expect(decoded.data[7]).toBeCloseTo(expected[7]! / 0.3611 + 0.1159, 4);
  });

  test("noise of another shape is refused", () => {
    const noise = { dims: [1, 4, 3, 5], data: new Float32Array(60) };
    expect(() => latentsFromMoments(moments, noise, { scale: 1, shift: 0 })).toThrow("[1, 4, 3, 5], the latents have [2, 4, 3, 5]");
  });
});

describe("contact sheet", () => {
  const plain = (colour: number, width = 36, height = 8) => picture(width, height, new Uint8Array(width * height * 3).fill(colour));
  const rowsOf = ({ width, height, data }: RgbImage) =>
    Array.from({ length: height }, (_, row) =>
      Array.from({ length: width }, (_none, column) => {
        const level = data[(row * width + column) * 3];
        return level === 255 ? "." : level === 32 ? "#" : "o";
      }).join(""),
    );

  test("pictures and captions where they belong", () => {
    const sheet = contactSheet(
      [
        { image: plain(100), caption: "Hi" },
        { image: plain(100), caption: "é" },
        { image: plain(100), caption: "" },
      ],
      2,
    );
    expect([sheet.width, sheet.height]).toEqual([2 * 40 + 4, 2 * 22 + 4]);
    const rows = rowsOf(sheet);
    const pictures = `....${"o".repeat(36)}....${"o".repeat(36)}....`;
    expect(rows.slice(4, 12)).toEqual(Array.from({ length: 8 }, () => pictures));
    expect(rows.slice(14, 21).map((row) => row.slice(4, 16))).toEqual([
      "#...#...#...",
      "#...#.......",
      "#...#..##...",
      "#####...#...",
      "#...#...#...",
      "#...#...#...",
      "#...#..###..",
    ]);
    expect(rows.slice(14, 21).map((row) => row.slice(44, 49))).toEqual(["#####", "#...#", "#...#", "#...#", "#...#", "#...#", "#####"]);
    expect(rows[26]).toBe(`....${"o".repeat(36)}${".".repeat(44)}`);
  });

  const sheetOf = (caption: string) => contactSheet([{ image: plain(0), caption }], 1);

  test.each([
    ["one two", "one two longer", 1],
    ["abcdefghij", "abcdef ghij", 0],
    ["a b c d e f g h i j k l m n o p q", "a b c d e f g h...", 0],
  ])("%j is drawn like %j", (caption, same, extraLines) => {
    const [actual, expected] = [sheetOf(caption), sheetOf(same)];
    expect(expected.height - actual.height).toBe(extraLines * 10);
    if (extraLines === 0) expect(rowsOf(actual)).toEqual(rowsOf(expected));
  });

  test.each(Array.from({ length: 95 }, (_, index) => String.fromCodePoint(32 + index)))("the glyph of %j is its own", (character) => {
    const all = Array.from({ length: 95 }, (_, index) => String.fromCodePoint(32 + index));
    const drawn = rowsOf(sheetOf(`.${character}.`)).join("\n");
    expect(all.filter((other) => rowsOf(sheetOf(`.${other}.`)).join("\n") === drawn)).toEqual([character]);
  });

  test.each([0, -1, 1.5])("%d columns are refused", (columns) => {
    expect(() => contactSheet([{ image: plain(0), caption: "" }], columns)).toThrow(/columns/);
  });

  test("pictures too narrow for one character have no captions", () => {
    expect(contactSheet([{ image: plain(0, 4, 4), caption: "a" }], 1).height).toBe(12);
  });
});
