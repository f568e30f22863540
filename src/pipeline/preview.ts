import type { RgbImage } from "../formats/rgb-image.ts";
import { roundHalfEven } from "./rounding.ts";

/** A linear approximation of a VAE decoder, good enough for previews. Colours are from −1 (black) to 1 (full). */
export interface LinearDecoder {
  /** Of each latent channel, scaled as the model takes it, what it adds to red, green and blue. */
  readonly factors: readonly (readonly [red: number, green: number, blue: number])[];
  /** What is added to every pixel. */
  readonly bias: readonly [red: number, green: number, blue: number];
}

/**
 * The first image of latents, roughly, a pixel for each place of the latents: no VAE is run. Values that are not finite are black.
 * @param latents flat [B, C, h, w], scaled as the model takes them; C is the decoder's
 */
export function previewImage(latents: Float32Array, dims: readonly number[], { factors, bias }: LinearDecoder): RgbImage {
  const [, channels, height, width] = dims as [number, number, number, number];
  const plane = height * width;
  const data = new Uint8Array(plane * 3);
  for (let pixel = 0; pixel < plane; pixel++) {
    for (let color = 0; color < 3; color++) {
      let value = bias[color]!;
      for (let channel = 0; channel < channels; channel++) value += factors[channel]![color]! * latents[channel * plane + pixel]!;
      data[pixel * 3 + color] = roundHalfEven(Math.min(Math.max(((value + 1) / 2) * 255, 0), 255));
    }
  }
  return { width, height, data };
}
