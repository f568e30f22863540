import { UserError } from "../formats/errors.ts";
import type { RgbImage } from "../formats/rgb-image.ts";

/** Half the width of the Lanczos kernel, in pixels of the coarser picture. */
const LOBES = 3;

/** Which source pixels make one target pixel, and their weights, which add up to 1. */
interface Taps {
  readonly first: number;
  readonly weights: Float64Array;
}

/**
 * A picture at another size, stretched where the aspect ratio differs, by Lanczos resampling with three lobes: when it
 * shrinks, the kernel widens with the scale, so that every source pixel counts. Rows first, then columns, rounded to eight
 * bits after each, as Pillow's `Image.resize(size, LANCZOS)` does.
 */
export function resize(image: RgbImage, width: number, height: number): RgbImage {
  for (const [name, size] of Object.entries({ width, height })) {
    if (!Number.isInteger(size) || size < 1)
      throw new UserError("option.invalid", `The ${name} ${size} is not a picture's: use a positive integer.`);
  }
  const wide = image.width === width ? image : resizeWidth(image, width);
  return wide.height === height ? wide : resizeHeight(wide, height);
}

function resizeWidth({ width, height, data }: RgbImage, targetWidth: number): RgbImage {
  const target = new Uint8Array(targetWidth * height * 3);
  tapsOf(width, targetWidth).forEach((taps, column) => {
    for (let row = 0; row < height; row++) {
      const from = (row * width + taps.first) * 3;
      for (let channel = 0; channel < 3; channel++) {
        target[(row * targetWidth + column) * 3 + channel] = weigh(data, from + channel, 3, taps.weights);
      }
    }
  });
  return { width: targetWidth, height, data: target };
}

function resizeHeight({ width, height, data }: RgbImage, targetHeight: number): RgbImage {
  const stride = width * 3;
  const target = new Uint8Array(stride * targetHeight);
  tapsOf(height, targetHeight).forEach((taps, row) => {
    for (let at = 0; at < stride; at++) target[row * stride + at] = weigh(data, taps.first * stride + at, stride, taps.weights);
  });
  return { width, height: targetHeight, data: target };
}

function weigh(data: Uint8Array, from: number, stride: number, weights: Float64Array): number {
  let sum = 0;
  for (let tap = 0; tap < weights.length; tap++) sum += data[from + tap * stride]! * weights[tap]!;
  return Math.min(Math.max(Math.round(sum), 0), 255);
}

function tapsOf(source: number, target: number): Taps[] {
  const scale = source / target;
  const widening = Math.max(scale, 1);
  return Array.from({ length: target }, (_, index) => {
    const centre = (index + 0.5) * scale;
    const first = Math.max(Math.floor(centre - LOBES * widening + 0.5), 0);
    const end = Math.min(Math.floor(centre + LOBES * widening + 0.5), source);
    const weights = Float64Array.from({ length: end - first }, (_none, tap) => lanczos((first + tap + 0.5 - centre) / widening));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

/** sinc(x)·sinc(x/3) within three lobes (Duchon, 1979). */
function lanczos(x: number): number {
  if (x === 0) return 1;
  if (Math.abs(x) >= LOBES) return 0;
  const angle = Math.PI * x;
  return (LOBES * Math.sin(angle) * Math.sin(angle / LOBES)) / (angle * angle);
}
