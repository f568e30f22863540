import type { RgbImage } from "../formats/rgb-image.ts";
import type { Architecture } from "../models/architecture.ts";
import { roundHalfEven } from "./rounding.ts";

/** Of each latent channel, what it adds to red, green and blue, from −1 (black) to 1 (full); then what is added to all pixels. */
interface LinearDecoder {
  readonly factors: readonly (readonly [red: number, green: number, blue: number])[];
  readonly bias: readonly [red: number, green: number, blue: number];
}

/*
 * Linear approximations of the two families' VAE decoders, as ComfyUI publishes them (comfy/latent_formats.py, SD15 and SDXL); the method
 * is that of https://discuss.huggingface.co/t/decoding-latents-to-rgb-without-upscaling/23204.
 */
const SD1: LinearDecoder = {
  factors: [
    [0.3512, 0.2297, 0.3227],
    [0.325, 0.4974, 0.235],
    [-0.2829, 0.1762, 0.2721],
    [-0.212, -0.2616, -0.7177],
  ],
  bias: [0, 0, 0],
};
const SDXL: LinearDecoder = {
  factors: [
    [0.3651, 0.4232, 0.4341],
    [-0.2533, -0.0042, 0.1068],
    [0.1076, 0.1111, -0.0362],
    [-0.3165, -0.2492, -0.2188],
  ],
  bias: [0.1084, -0.0175, -0.0011],
};
const DECODER: Readonly<Partial<Record<Architecture, LinearDecoder>>> = { sd1: SD1, sd2: SD1, sdxl: SDXL, "sdxl-refiner": SDXL };

/**
 * The first image of latents, roughly, a pixel for each place of the latents: no VAE is run. Values that are not finite are black.
 * @param latents flat [B, 4, h, w], scaled as the model takes them
 * @returns nothing for architectures whose latents have no such approximation here
 */
export function previewImage(latents: Float32Array, dims: readonly number[], architecture: Architecture): RgbImage | undefined {
  const decoder = DECODER[architecture];
  const [, channels, height, width] = dims as [number, number, number, number];
  if (channels !== decoder?.factors.length) return undefined;
  const { factors, bias } = decoder;
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
