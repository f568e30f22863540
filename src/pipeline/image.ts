import { decoderNanError } from "../engines/latents.ts";
import { UserError } from "../formats/errors.ts";
import type { RgbImage } from "../formats/rgb-image.ts";
import type { Tensor } from "../formats/tensor.ts";

export type { RgbImage };

/**
 * The pictures in a VAE decoder's output [B, 3, H, W], whose values −1 to 1 are black to full: clamp(x/2 + ½, 0, 1)·255,
 * halves to the even level, in float32 as diffusers computes it. Throws `engine.failed` where the decoder gave NaN.
 */
export function imagesFromTensor(pixels: Tensor): RgbImage[] {
  const [batch, channels, height, width] = pixels.dims as [number, number, number, number];
  if (channels !== 3) throw new UserError("engine.unusable", `The VAE decoder gave ${channels} channels, not 3: export the engine again.`);
  const plane = height * width;
  return Array.from({ length: batch }, (_, image) => {
    const data = new Uint8Array(plane * 3);
    for (let channel = 0; channel < 3; channel++) {
      const start = (image * 3 + channel) * plane;
      for (let pixel = 0; pixel < plane; pixel++) data[pixel * 3 + channel] = level(pixels.data[start + pixel]!);
    }
    return { width, height, data };
  });
}

function level(value: number): number {
  if (Number.isNaN(value)) throw decoderNanError();
  const scaled = Math.fround(Math.min(Math.max(Math.fround(value / 2 + 0.5), 0), 1) * 255);
  const rounded = Math.round(scaled);
  return rounded - scaled === 0.5 && rounded % 2 === 1 ? rounded - 1 : rounded;
}

/** Pictures of one size as a VAE encoder takes them: [B, 3, H, W], values −1 to 1. */
export function tensorFromImages(images: readonly RgbImage[]): Tensor {
  const { width, height } = sizeOf(images);
  const plane = height * width;
  const data = new Float32Array(images.length * 3 * plane);
  images.forEach((image, index) => {
    for (let channel = 0; channel < 3; channel++) {
      const start = (index * 3 + channel) * plane;
      for (let pixel = 0; pixel < plane; pixel++) data[start + pixel] = 2 * Math.fround(image.data[pixel * 3 + channel]! / 255) - 1;
    }
  });
  return { dims: [images.length, 3, height, width], data };
}

/** The size that all of the pictures have; throws `option.invalid` where there is none or they differ. */
export function sizeOf(images: readonly RgbImage[]): { readonly width: number; readonly height: number } {
  const [first] = images;
  if (!first) throw new UserError("option.invalid", "There is no picture: give at least one.");
  const { width, height } = first;
  const other = images.find((image) => image.width !== width || image.height !== height);
  if (other) {
    throw new UserError(
      "option.invalid",
      `The pictures differ in size (${width}×${height} and ${other.width}×${other.height}): give pictures of one size.`,
    );
  }
  return { width, height };
}
