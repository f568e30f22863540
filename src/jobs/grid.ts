import { performance } from "node:perf_hooks";
import { UserError } from "../formats/errors.ts";
import type { GenerationParameters } from "../formats/generation-parameters.ts";
import { formatParameters } from "../formats/parameters.ts";
import { LARGEST_IMAGE, writePng } from "../formats/png.ts";
import type { RgbImage } from "../formats/rgb-image.ts";
import { gridSheet } from "../pipeline/grid-sheet.ts";
import { randomSeed } from "../pipeline/noise.ts";
import { checkOptions } from "./check-options.ts";
import type { JobContext } from "./context.ts";
import { openBundle, type EngineCache } from "./engine-cache.ts";
import { drawImages } from "./generate.ts";
import { applyAxis, axisLabel, type CellOptions } from "./grid-axis.ts";
import { checkImageSize } from "./image-size.ts";
import { generateOptionsSchema, type GenerateOptions, type GridAxis, type GridOptions } from "./options.ts";
import { chooseImageFiles } from "./output-files.ts";
import type { GridResult } from "./results.ts";

/** Makes one picture for each pair of values of two options, on one loaded engine, and writes them as one labelled picture. */
export async function drawGrid(options: GridOptions, context: JobContext, engines: EngineCache): Promise<GridResult> {
  const started = performance.now();
  const [file] = await chooseImageFiles(options.output, 1, options.overwrite);
  const { x, y, ...shared } = options;
  const seed = String(options.seed ?? randomSeed());
  const cells = cellsOf({ ...shared, seed }, x, y);
  const columns = x.values.map((value) => axisLabel(x, value));
  const rows = y ? y.values.map((value) => axisLabel(y, value)) : [""];
  await checkSheetSize(options, cells.length);
  const images: RgbImage[] = [];
  const times: number[] = [];
  const warnings = new Set<string>();
  let parameters: GenerationParameters | undefined;
  for (const [index, cell] of cells.entries()) {
    const before = performance.now();
    const drawn = await drawImages(cell, pictureContext(context, index, cells.length), engines);
    images.push(drawn.images[0]!);
    times.push(performance.now() - before);
    for (const warning of drawn.warnings) warnings.add(warning);
    parameters ??= drawn.parameters;
  }
  const sheet = gridSheet({ images, columns, rows });
  await writePng(file!, sheet, sheetParameters(parameters!, x, y), context.signal);
  const timings = { pictures: times, total: performance.now() - started };
  return { image: file!, seed, columns, rows, timings, warnings: [...warnings] };
}

/** The options of every picture, row by row; all are checked before the first is made. */
function cellsOf(shared: CellOptions, x: GridAxis, y: GridAxis | undefined): GenerateOptions[] {
  const rows = y ? y.values.map((value) => applyAxis(shared, y, value)) : [shared];
  const cells = rows.flatMap((row) => x.values.map((value) => applyAxis(row, x, value)));
  return cells.map((cell) => checkOptions(generateOptionsSchema, cell));
}

/** Throws "option.invalid" where the sheet would have more pixels than a picture may have here. */
async function checkSheetSize(options: GridOptions, count: number): Promise<void> {
  const { bundle } = await openBundle(options.engine);
  const { width, height } = checkImageSize(bundle, { ...options, batch: 1 });
  if (count * width * height <= LARGEST_IMAGE) return;
  const most = Math.floor(LARGEST_IMAGE / (width * height));
  throw new UserError(
    "option.invalid",
    `A grid of ${count} pictures of ${width}×${height} is too large for one image: use at most ${most} pictures, or smaller ones.`,
  );
}

/** A picture's progress as a part of the whole. */
function pictureContext(context: JobContext, index: number, count: number): JobContext {
  return {
    ...context,
    log: (level, message) => context.log(level, message),
    progress: ({ stage, fraction, message, secondsLeft: _ofThisPicture, ...rest }) => {
      const picture = `picture ${index + 1}/${count}`;
      const whole =
        stage === "sampling" ? { fraction: (index + (fraction ?? 0)) / count } : { ...(fraction !== undefined && { fraction }) };
      context.progress({ ...rest, stage, ...whole, message: message === undefined ? picture : `${picture}, ${message}` });
    },
  };
}

/** The first picture's parameters, with the axes under the labels that the WebUI's script for grids writes. */
function sheetParameters(parameters: GenerationParameters, x: GridAxis, y: GridAxis | undefined): string {
  const others = new Map([...parameters.others, ["Script", "X/Y grid"], ...axisFields("X", x), ...(y ? axisFields("Y", y) : [])]);
  return formatParameters({ ...parameters, others });
}

function axisFields(axis: "X" | "Y", { option, lora, values }: GridAxis): [string, string][] {
  return [
    [`${axis} Type`, lora === undefined ? option : `${option}:${lora}`],
    [`${axis} Values`, values.join(", ")],
  ];
}
