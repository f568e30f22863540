import type { RgbImage } from "../formats/rgb-image.ts";
import { GLYPH_HEIGHT, GLYPH_WIDTH, glyph } from "./bitmap-font.ts";

const INK = 32;

/** Pixels from one line of text to the next and from one character to the next, at scale 1. */
export const LINE = GLYPH_HEIGHT + 3;
export const ADVANCE = GLYPH_WIDTH + 1;

const MOST_LINES = 3;

/** The factor at which text is drawn beside pictures of this width, so that it stays readable when they are shown small. */
export function textScale(width: number): number {
  return Math.max(1, Math.round(width / 256));
}

/** A text in at most three lines of `room` characters, broken at spaces where there are any; what does not fit ends in "...". */
export function wrapText(text: string, room: number): string[] {
  if (room <= 0) return [];
  const lines: string[] = [];
  let rest = Array.from(text.trim().replace(/\s+/g, " "));
  while (rest.length > 0) {
    if (lines.length === MOST_LINES) {
      const end = lines.pop()!;
      return [...lines, `${end.slice(0, Math.max(room - 3, 0))}...`.slice(0, room)];
    }
    const space = rest.slice(0, room + 1).lastIndexOf(" ");
    const length = rest.length <= room ? rest.length : space > 0 ? space : room;
    lines.push(rest.slice(0, length).join(""));
    rest = rest.slice(rest[length] === " " ? length + 1 : length);
  }
  return lines;
}

/** Copies a picture into a larger one. */
export function placePicture(sheet: RgbImage, image: RgbImage, left: number, top: number): void {
  for (let row = 0; row < image.height; row++) {
    const pixels = image.data.subarray(row * image.width * 3, (row + 1) * image.width * 3);
    sheet.data.set(pixels, ((top + row) * sheet.width + left) * 3);
  }
}

/** Draws one line of ASCII, dark, its upper left corner at (left, top). */
export function drawText(sheet: RgbImage, text: string, left: number, top: number, scale: number): void {
  Array.from(text).forEach((character, index) => {
    glyph(character).forEach((line, row) => {
      for (let column = 0; column < GLYPH_WIDTH; column++) {
        if (line[column] === "#") fillSquare(sheet, left + (index * ADVANCE + column) * scale, top + row * scale, scale);
      }
    });
  });
}

function fillSquare(sheet: RgbImage, left: number, top: number, size: number): void {
  for (let row = top; row < top + size; row++) {
    const start = (row * sheet.width + left) * 3;
    sheet.data.fill(INK, start, start + size * 3);
  }
}
