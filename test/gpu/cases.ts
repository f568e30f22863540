import type { Inputs } from "../../src/engines/engine.ts";
import type { Component } from "../../src/models/architecture.ts";
import { randomTensor, TorchGenerator } from "../../src/pipeline/noise.ts";
import type { ImageRequest } from "../../src/pipeline/text-to-image.ts";

/** LoRA files of emoji-xl with their scales, by the stack's name. */
export const STACKS: Readonly<Record<string, readonly (readonly [string, number])[]>> = {
  base: [],
  ink: [["ink.safetensors", 1]],
  "half ink": [["ink.safetensors", 0.5]],
  hue: [["opposite-hue.safetensors", 1]],
  both: [
    ["ink.safetensors", 0.4],
    ["opposite-hue.safetensors", 0.7],
  ],
  negative: [["opposite-hue.safetensors", -0.5]],
};

/** The images that every sampler makes, in 20 steps. */
export const IMAGE_REQUEST = {
  positive: "red apple",
  negative: "blue",
  batch: 1,
  width: 128,
  height: 128,
  steps: 20,
  cfg: 4,
  cfgRescale: 0,
  schedule: "normal",
  seed: 42n,
} as const satisfies Omit<ImageRequest, "sampler">;

/** The numbers that every component of emoji-xl is compared on. */
export function caseInputs(component: Component): Inputs {
  const generator = new TorchGenerator(17n);
  if (component === "unet") {
    return {
      x: randomTensor(generator, [2, 4, 16, 16]),
      timesteps: { dims: [2], data: Float32Array.of(501, 501) },
      context: randomTensor(generator, [2, 77, 128]),
      y: randomTensor(generator, [2, 128 + 6 * 256]),
    };
  }
  if (component === "vae_decoder") return { latents: randomTensor(generator, [1, 4, 16, 16]) };
  if (component === "vae_encoder") return { image: randomTensor(generator, [1, 3, 128, 128]) };
  const ids = Int32Array.from({ length: 77 }, (_, index) => (index === 0 ? 49406 : index < 9 ? 300 + 11 * index : 49407));
  return { input_ids: { dims: [1, 77], data: ids }, end_positions: { dims: [1], data: Int32Array.of(9) } };
}

export function cosine(a: Float32Array, b: Float32Array): number {
  let [product, squaresA, squaresB] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    product += a[i]! * b[i]!;
    squaresA += a[i]! * a[i]!;
    squaresB += b[i]! * b[i]!;
  }
  return a.length === b.length ? product / Math.sqrt(squaresA * squaresB) : 0;
}
