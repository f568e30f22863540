import { UserError } from "../formats/errors.ts";
import type { RgbImage } from "../formats/png.ts";
import { GLYPH_HEIGHT, GLYPH_WIDTH, glyph } from "./bitmap-font.ts";
import { sizeOf } from "./image.ts";

const BACKGROUND = 255;
const INK = 32;
/** Pixels between cells, at font scale 1. */
const GAP = 4;
const LINE = GLYPH_HEIGHT + 3;
const ADVANCE = GLYPH_WIDTH + 1;
const MOST_LINES = 3;

export interface SheetCell {
  readonly image: RgbImage;
  /** Drawn under the image in ASCII, on up to three lines of its width; what does not fit ends in "...". */
  readonly caption: string;
}

/** Places pictures of one size on white, row by row, each with its caption below. */
export function contactSheet(cells: readonly SheetCell[], columns: number): RgbImage {
  const cell = sizeOf(cells.map(({ image }) => image));
  if (!Number.isInteger(columns) || columns < 1) {
    throw new UserError("option.invalid", `A contact sheet cannot have ${columns} columns: use a positive integer.`);
  }
  const scale = Math.max(1, Math.round(cell.width / 256));
  const captions = cells.map(({ caption }) => wrap(caption, Math.floor(cell.width / (ADVANCE * scale))));
  const captionHeight = Math.max(...captions.map((lines) => lines.length)) * LINE * scale;
  const [across, down] = [Math.min(columns, cells.length), Math.ceil(cells.length / columns)];
  const gap = GAP * scale;
  const [pitchX, pitchY] = [cell.width + gap, cell.height + captionHeight + gap];
  const [width, height] = [across * pitchX + gap, down * pitchY + gap];
  const sheet: RgbImage = { width, height, data: new Uint8Array(width * height * 3).fill(BACKGROUND) };
  cells.forEach(({ image }, index) => {
    const left = gap + (index % columns) * pitchX;
    const top = gap + Math.floor(index / columns) * pitchY;
    place(sheet, image, left, top);
    captions[index]!.forEach((line, row) => drawText(sheet, line, left, top + cell.height + (row * LINE + 2) * scale, scale));
  });
  return sheet;
}

/** The caption in lines of at most `room` characters, broken at spaces where there are any. */
function wrap(caption: string, room: number): string[] {
  if (room <= 0) return [];
  const lines: string[] = [];
  let rest = Array.from(caption.trim().replace(/\s+/g, " "));
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

function place(sheet: RgbImage, image: RgbImage, left: number, top: number): void {
  for (let row = 0; row < image.height; row++) {
    const pixels = image.data.subarray(row * image.width * 3, (row + 1) * image.width * 3);
    sheet.data.set(pixels, ((top + row) * sheet.width + left) * 3);
  }
}

function drawText(sheet: RgbImage, text: string, left: number, top: number, scale: number): void {
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
