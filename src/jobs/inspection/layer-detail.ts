import { elementStatistics, histogram, largestNorms } from "./element-statistics.ts";
import type { LayerMatrix } from "./layer-matrix.ts";
import { layerStatistics, matrixStatistics, storedNonFinite, type StatisticsTools } from "./layer-statistics.ts";
import { layerSize, type Layer } from "./layers.ts";
import { singularValues, spectrumCost } from "./spectrum.ts";
import type { HeatMapTile, LayerDetail } from "./types.ts";

/** Odd, so that zero has a bin of its own. */
const BINS = 101;
const TOP = 10;

/** Operations of the largest spectrum that is computed: half a minute. */
export const LARGEST_SPECTRUM_COST = 3e10;

/** Pixels of a tile on a side (`TileSize`). */
const TILE = 256;

/** Elements of a pixel's rows read at once. */
const PIECE_ELEMENTS = 1 << 20;

/** All that is shown of one layer; `matrix` is a string that says why there is none. */
export async function layerDetail(layer: Layer, matrix: LayerMatrix | string, tools: StatisticsTools): Promise<LayerDetail> {
  const { rows, columns } = typeof matrix === "string" ? layerSize(layer) : matrix;
  const stored = await storedNonFinite(layer, tools);
  if (typeof matrix === "string" || stored.nan + stored.infinite > 0)
    return { statistics: await layerStatistics(layer, tools), rows, columns };
  const { signal } = tools;
  const elements = await elementStatistics(matrix, signal);
  const { maximum, rowNorms, columnNorms } = elements;
  const isFinite = elements.nan + elements.infinite === 0;
  const isPossible = isFinite && spectrumCost(matrix) <= LARGEST_SPECTRUM_COST;
  const values = isPossible ? await singularValues(matrix, signal) : undefined;
  return {
    statistics: await matrixStatistics(layer, matrix, elements, tools, values),
    rows,
    columns,
    histogram: { from: -maximum, to: maximum, counts: await histogram(matrix, maximum, BINS, signal) },
    ...(values && { singularValues: Array.from(values) }),
    ...(!isPossible && isFinite && { spectrumReason: `A matrix of ${rows} × ${columns} is too large for all its singular values.` }),
    topRows: largestNorms(rowNorms, TOP),
    topColumns: largestNorms(columnNorms, TOP),
  };
}

/** The largest level: one tile shows the whole matrix. */
export function largestLevel({ rows, columns }: Pick<LayerMatrix, "rows" | "columns">): number {
  return Math.max(0, Math.ceil(Math.log2(Math.max(rows, columns, 1) / TILE)));
}

/** Tile (x, y) of the matrix at a level; see `HeatMapTile`. Throws a RangeError for one that is not there. */
export async function heatMapTile(matrix: LayerMatrix, level: number, x: number, y: number): Promise<HeatMapTile> {
  if (![level, x, y].every((each) => Number.isSafeInteger(each) && each >= 0) || level > largestLevel(matrix)) {
    throw new RangeError(`There is no tile ${x}, ${y} of level ${level}.`);
  }
  const step = 2 ** level;
  const [top, left] = [y * TILE * step, x * TILE * step];
  if (top >= matrix.rows || left >= matrix.columns) throw new RangeError(`There is no tile ${x}, ${y} of level ${level}.`);
  const [bottom, right] = [Math.min(matrix.rows, top + TILE * step), Math.min(matrix.columns, left + TILE * step)];
  const [width, height] = [Math.ceil((right - left) / step), Math.ceil((bottom - top) / step)];
  const pixels = new Float32Array(width * height);
  const rowsAtOnce = Math.max(step, Math.floor(PIECE_ELEMENTS / (right - left) / step) * step);
  for (let row = top; row < bottom; row += rowsAtOnce) {
    const block = await matrix.readBlock([row, Math.min(bottom, row + rowsAtOnce)], [left, right]);
    shrink(block, right - left, step, pixels.subarray(((row - top) / step) * width), width);
  }
  return { width, height, values: Buffer.from(pixels.buffer).toString("base64") };
}

/** Keeps of each step × step elements the one of largest magnitude. */
function shrink(block: Float32Array, columns: number, step: number, pixels: Float32Array, width: number): void {
  for (let i = 0; i < block.length; i++) {
    const [row, column] = [Math.floor(i / columns), i % columns];
    const pixel = Math.floor(row / step) * width + Math.floor(column / step);
    if (Math.abs(block[i]!) > Math.abs(pixels[pixel]!)) pixels[pixel] = block[i]!;
  }
}
