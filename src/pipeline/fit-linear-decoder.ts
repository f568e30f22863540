import type { Engine } from "../engines/engine.ts";
import type { Tensor } from "../formats/tensor.ts";
import { HouseholderQr } from "../lora/linear-algebra/householder-qr.ts";
import { vector, zeroVectors, type Vectors } from "../lora/linear-algebra/vectors.ts";
import type { VaeConfiguration } from "../models/configuration.ts";
import { decoderInput } from "./latents.ts";
import { randomTensor, TorchGenerator } from "./noise.ts";
import type { LinearDecoder } from "./preview.ts";

/** Pixels. */
export interface ImageSize {
  readonly width: number;
  readonly height: number;
}

/**
 * The latents that are decoded are squares of one value, as large things in a picture are: a decoder makes of noise, place by place, other
 * colours than of pictures. Squares of this many places a side come nearest to them.
 */
const SQUARE = 4;
/** As many squares are decoded at least. */
const SQUARES = 128;
const COLORS = 3;

/**
 * Fits a linear decoder by least squares to a VAE decoder: to the mean colour of what it makes of each place of random latents, of unit
 * variance as the model's are.
 * @returns nothing where the decoder gives values that are not finite
 */
export async function fitLinearDecoder(engine: Engine, vae: VaeConfiguration, size: ImageSize): Promise<LinearDecoder | undefined> {
  const [height, width] = [size.height / vae.factor, size.width / vae.factor];
  const squares = Math.ceil(height / SQUARE) * Math.ceil(width / SQUARE);
  const count = Math.ceil(SQUARES / squares);
  const generator = new TorchGenerator(0n);
  const places = height * width;
  // A row for each place: the channels, a constant, the colours.
  const system = zeroVectors(vae.latentChannels + 1 + COLORS, count * places);
  for (let index = 0; index < count; index++) {
    const latents = randomSquares(generator, [1, vae.latentChannels, height, width]);
    const { image } = await engine.run("vae_decoder", { latents: decoderInput(latents, vae) });
    const colors = meanColors(image!, height, width);
    const columns = [...planesOf(latents.data, places), new Float32Array(places).fill(1), ...planesOf(colors, places)];
    columns.forEach((column, at) => vector(system, at).set(column, index * places));
  }
  if (!system.values.every(Number.isFinite)) return undefined;
  const [red, green, blue] = leastSquares(system, COLORS) as [Float64Array, Float64Array, Float64Array];
  const colorsOf = (row: number) => [red[row]!, green[row]!, blue[row]!] as const;
  return { factors: Array.from({ length: vae.latentChannels }, (_, channel) => colorsOf(channel)), bias: colorsOf(vae.latentChannels) };
}

function randomSquares(generator: TorchGenerator, dims: readonly [number, number, number, number]): Tensor {
  const [batch, channels, height, width] = dims;
  const [rows, columns] = [Math.ceil(height / SQUARE), Math.ceil(width / SQUARE)];
  const values = randomTensor(generator, [batch, channels, rows, columns]).data;
  const data = new Float32Array(batch * channels * height * width);
  for (let index = 0; index < data.length; index++) {
    const [plane, y, x] = [Math.floor(index / (height * width)), Math.floor(index / width) % height, index % width];
    data[index] = values[(plane * rows + Math.floor(y / SQUARE)) * columns + Math.floor(x / SQUARE)]!;
  }
  return { dims, data };
}

/** The means of an image [1, 3, H, W] over each place of its latents, [3, h, w]; what is beyond black and full is those. */
function meanColors({ dims, data }: Tensor, height: number, width: number): Float32Array {
  const [, , imageHeight, imageWidth] = dims as [number, number, number, number];
  const [tall, wide] = [imageHeight / height, imageWidth / width];
  const means = new Float32Array(COLORS * height * width);
  for (let index = 0; index < data.length; index++) {
    const [color, y, x] = [
      Math.floor(index / (imageHeight * imageWidth)),
      Math.floor(index / imageWidth) % imageHeight,
      index % imageWidth,
    ];
    const place = (color * height + Math.floor(y / tall)) * width + Math.floor(x / wide);
    means[place]! += Math.min(Math.max(data[index]!, -1), 1) / (tall * wide);
  }
  return means;
}

function planesOf(data: Float32Array, size: number): Float32Array[] {
  return Array.from({ length: data.length / size }, (_, plane) => data.subarray(plane * size, (plane + 1) * size));
}

/**
 * For each of the last columns b of a system, the x with the least ‖A·x − b‖, A being the columns before them: by one QR factorization of
 * all columns, whose R holds that of A and beside it Qᵀ·b (Golub and Van Loan, Matrix Computations, 4th edition, section 5.3.2).
 * @param system has at least as many rows as columns, those of A linearly independent; overwritten
 */
export function leastSquares(system: Vectors, rightSides: number): Float64Array[] {
  const unknowns = system.count - rightSides;
  const { r } = new HouseholderQr(system);
  return Array.from({ length: rightSides }, (_, side) => {
    const x = vector(r, unknowns + side).slice(0, unknowns);
    for (let row = unknowns - 1; row >= 0; row--) {
      for (let column = row + 1; column < unknowns; column++) x[row]! -= vector(r, column)[row]! * x[column]!;
      x[row]! /= vector(r, row)[row]!;
    }
    return x;
  });
}
