import type { HeatMapTile, TileSize } from "../../jobs/inspection/types.ts";
import type { ColourScale } from "./colours.ts";

export const TILE: TileSize = 256;
/** Tiles kept: the ones around, on two levels. */
const MOST_TILES = 200;
const COLOURS = 512;

/** Asks for a tile; rejects where it is not to be had. */
export type TileSource = (level: number, x: number, y: number) => Promise<HeatMapTile>;

interface Values {
  readonly width: number;
  readonly pixels: Float32Array;
}

interface Tile {
  /** Absent until they are there. */
  values?: Values;
  /** The values in the theme's colours; absent until they are painted. */
  canvas?: HTMLCanvasElement;
}

/** The tiles of one matrix: asked for when they are first wanted, painted when they are first drawn. */
export class HeatMapTiles {
  readonly #source: TileSource;
  readonly #onTile: () => void;
  readonly #tiles = new Map<string, Tile>();
  #palette = new Uint32Array(0);
  #maximum = 0;

  /** @param onTile called when a tile that was asked for is there */
  constructor(source: TileSource, onTile: () => void) {
    this.#source = source;
    this.#onTile = onTile;
  }

  /** Colours of the values from −maximum to maximum. The values stay, what is painted is painted again. */
  setColours(scale: ColourScale, maximum: number): void {
    this.#palette = makePalette(scale);
    this.#maximum = maximum;
    for (const tile of this.#tiles.values()) delete tile.canvas;
  }

  /** A tile as a picture; undefined where it is not there (yet). */
  picture(level: number, x: number, y: number): HTMLCanvasElement | undefined {
    const key = keyOf(level, x, y);
    const tile = this.#tiles.get(key);
    if (!tile) void this.#ask(key, level, x, y);
    return tile?.values && (tile.canvas ??= this.#paint(tile.values));
  }

  /** The value at a place of the matrix, of the nearest tile that is there. */
  valueAt(row: number, column: number, levels: number): number | undefined {
    for (let level = 0; level <= levels; level++) {
      const step = 2 ** level;
      const span = TILE * step;
      const values = this.#tiles.get(keyOf(level, Math.floor(column / span), Math.floor(row / span)))?.values;
      if (values) return values.pixels[Math.floor((row % span) / step) * values.width + Math.floor((column % span) / step)];
    }
    return undefined;
  }

  async #ask(key: string, level: number, x: number, y: number): Promise<void> {
    const tile: Tile = {};
    this.#tiles.set(key, tile);
    for (const old of [...this.#tiles.keys()].slice(0, Math.max(0, this.#tiles.size - MOST_TILES))) this.#tiles.delete(old);
    try {
      const { width, values } = await this.#source(level, x, y);
      const bytes = Uint8Array.from(atob(values), (letter) => letter.charCodeAt(0));
      tile.values = { width, pixels: new Float32Array(bytes.buffer) };
    } catch {
      // It stays as it is, without values: one that cannot be had is not asked for again and again.
    }
    this.#onTile();
  }

  #paint({ width, pixels }: Values): HTMLCanvasElement {
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = pixels.length / width;
    const context = canvas.getContext("2d")!;
    const image = context.createImageData(canvas.width, canvas.height);
    const target = new Uint32Array(image.data.buffer);
    for (let i = 0; i < pixels.length; i++) {
      // A square root, so that what is a hundredth of the largest is still seen.
      const share = this.#maximum === 0 ? 0 : pixels[i]! / this.#maximum;
      const place = Math.sign(share) * Math.sqrt(Math.min(1, Math.abs(share)));
      target[i] = this.#palette[Math.round(((place + 1) / 2) * (COLOURS - 1))]!;
    }
    context.putImageData(image, 0, 0);
    return canvas;
  }
}

function keyOf(level: number, x: number, y: number): string {
  return `${level}/${x}/${y}`;
}

function makePalette(scale: ColourScale): Uint32Array<ArrayBuffer> {
  return Uint32Array.from({ length: COLOURS }, (_, index) => {
    const [red, green, blue] = scale((2 * index) / (COLOURS - 1) - 1);
    return (255 << 24) | (Math.round(blue) << 16) | (Math.round(green) << 8) | Math.round(red);
  });
}
