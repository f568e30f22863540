import type { RgbImage } from "../formats/rgb-image.ts";
import { sizeOf } from "./image.ts";
import { ADVANCE, drawText, LINE, placePicture, textScale, wrapText } from "./picture-text.ts";

const BACKGROUND = 255;
/** Pixels between cells, at font scale 1. */
const GAP = 4;
/** No picture is so narrow that its row's label has no room. */
const FEWEST_CHARACTERS = 8;

export interface Grid {
  /** Row by row, all of one size. */
  readonly images: readonly RgbImage[];
  /** One label for each column, above it. */
  readonly columns: readonly string[];
  /** One label for each row, left of it; a single empty one for a grid of one row. */
  readonly rows: readonly string[];
}

/** Places pictures on white as a table, with the columns' labels above and the rows' on the left; labels are drawn in ASCII. */
export function gridSheet({ images, columns, rows }: Grid): RgbImage {
  const cell = sizeOf(images);
  const scale = textScale(cell.width);
  const [advance, line, gap] = [ADVANCE * scale, LINE * scale, GAP * scale];
  const room = Math.max(FEWEST_CHARACTERS, Math.floor(cell.width / advance));
  const columnLines = columns.map((label) => wrapText(label, Math.floor(cell.width / advance)));
  const rowLines = rows.map((label) => wrapText(label, room));
  const longest = Math.max(0, ...rowLines.flat().map((text) => Array.from(text).length));
  const left = gap + (longest === 0 ? 0 : longest * advance + gap);
  const top = gap + Math.max(...columnLines.map((lines) => lines.length)) * line;
  const [width, height] = [left + columns.length * (cell.width + gap), top + rows.length * (cell.height + gap)];
  const sheet: RgbImage = { width, height, data: new Uint8Array(width * height * 3).fill(BACKGROUND) };
  const across = (column: number): number => left + column * (cell.width + gap);
  const down = (row: number): number => top + row * (cell.height + gap);
  images.forEach((image, index) => placePicture(sheet, image, across(index % columns.length), down(Math.floor(index / columns.length))));
  columnLines.forEach((lines, column) =>
    lines.forEach((text, index) => {
      const free = cell.width - (Array.from(text).length * advance - scale);
      drawText(sheet, text, across(column) + Math.floor(free / 2), gap + index * line, scale);
    }),
  );
  rowLines.forEach((lines, row) => {
    const free = Math.max(0, cell.height - lines.length * line);
    lines.forEach((text, index) => drawText(sheet, text, gap, down(row) + Math.floor(free / 2) + index * line, scale));
  });
  return sheet;
}
