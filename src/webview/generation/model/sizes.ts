import type { EngineChoice } from "../protocol.ts";
import { PIXELS_PER_LATENT } from "./check.ts";

export interface SizePreset {
  readonly width: number;
  readonly height: number;
}

/** Shapes that people ask for, wide ones first. */
const RATIOS: readonly (readonly [number, number])[] = [
  [1, 1],
  [4, 3],
  [3, 2],
  [16, 9],
  [21, 9],
  [3, 4],
  [2, 3],
  [9, 16],
];

/** Grain of presets: SDXL was trained on sides that are multiples of 64; small models have finer ones. */
const GRAIN = 64;

/**
 * Sizes of about as many pixels as the engine is tuned for, in the usual shapes, all within its profile. Where the profile does not say, there
 * are none.
 */
export function sizePresets({ width, height }: Pick<EngineChoice, "width" | "height">): SizePreset[] {
  if (!width || !height) return [];
  const area = width.opt * height.opt;
  const grain = Math.min(width.opt, height.opt) >= 8 * GRAIN ? GRAIN : PIXELS_PER_LATENT;
  const sizes = RATIOS.map(([across, down]) => ({
    width: Math.round(Math.sqrt((area * across) / down) / grain) * grain,
    height: Math.round(Math.sqrt((area * down) / across) / grain) * grain,
  }));
  const fits = (size: SizePreset): boolean =>
    size.width >= width.min && size.width <= width.max && size.height >= height.min && size.height <= height.max;
  const tuned = { width: width.opt, height: height.opt };
  const all = [tuned, ...sizes.filter((size) => fits(size))];
  return all.filter((size, index) => all.findIndex((other) => other.width === size.width && other.height === size.height) === index);
}
