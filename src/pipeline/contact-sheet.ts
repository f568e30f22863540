import { UserError } from "../formats/errors.ts";
import type { RgbImage } from "../formats/rgb-image.ts";
import { sizeOf } from "./image.ts";
import { ADVANCE, drawText, LINE, placePicture, textScale, wrapText } from "./picture-text.ts";

const BACKGROUND = 255;
/** Pixels between cells, at font scale 1. */
const GAP = 4;

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
  const scale = textScale(cell.width);
  const captions = cells.map(({ caption }) => wrapText(caption, Math.floor(cell.width / (ADVANCE * scale))));
  const captionHeight = Math.max(...captions.map((lines) => lines.length)) * LINE * scale;
  const [across, down] = [Math.min(columns, cells.length), Math.ceil(cells.length / columns)];
  const gap = GAP * scale;
  const [pitchX, pitchY] = [cell.width + gap, cell.height + captionHeight + gap];
  const [width, height] = [across * pitchX + gap, down * pitchY + gap];
  const sheet: RgbImage = { width, height, data: new Uint8Array(width * height * 3).fill(BACKGROUND) };
  cells.forEach(({ image }, index) => {
    const left = gap + (index % columns) * pitchX;
    const top = gap + Math.floor(index / columns) * pitchY;
    placePicture(sheet, image, left, top);
    captions[index]!.forEach((line, row) => drawText(sheet, line, left, top + cell.height + (row * LINE + 2) * scale, scale));
  });
  return sheet;
}
