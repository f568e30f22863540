import { expect, test } from "vitest";
import type { Architecture } from "../../src/models/architecture.ts";
import type { ModelConfiguration } from "../../src/models/configuration.ts";
import { describeCheckpoint } from "../../src/models/full-size.ts";
import { publishedDecoder } from "../../src/pipeline/linear-decoder.ts";
import { previewImage } from "../../src/pipeline/preview.ts";

const configurationOf = (architecture: Parameters<typeof describeCheckpoint>[0]): ModelConfiguration =>
  describeCheckpoint(architecture).configuration;
const published = (architecture: Parameters<typeof describeCheckpoint>[0]) =>
  publishedDecoder(architecture, configurationOf(architecture))!;

/** Latents [1, 4, 1, n] of n pixels. */
function latentsOf(...pixels: readonly (readonly [number, number, number, number])[]): Float32Array {
  return Float32Array.from({ length: 4 * pixels.length }, (_, i) => pixels[i % pixels.length]![Math.floor(i / pixels.length)]!);
}

test.each([
  // (1 + bias + Σ factor·latent) / 2 · 255 by hand.
  ["sdxl", [0, 0, 0, 0], [141, 125, 127]],
  ["sdxl", [1, 0, 0, 0], [188, 179, 183]],
  ["sdxl", [0, 0, 0, 1], [101, 93, 99]],
  ["sdxl-refiner", [0, 1, 0, 0], [109, 125, 141]],
  ["sd1", [0, 0, 0, 0], [128, 128, 128]],
  ["sd1", [0, 0, 1, 0], [91, 150, 162]],
  ["sd2", [0, 0, 0, 1], [100, 94, 36]],
  ["sd1", [100, 0, 0, 0], [255, 255, 255]],
  ["sd1", [-100, 0, 0, 0], [0, 0, 0]],
  ["sd1", [NaN, 0, 0, 0], [0, 0, 0]],
] as const)("%s latents %j are the colour %j", (architecture, latents, color) => {
  const { data } = previewImage(latentsOf(latents), [1, 4, 1, 1], published(architecture));
  expect([...data]).toEqual(color);
});

test("a pixel stands for a place of the first image's latents", () => {
  const first = latentsOf([0, 0, 0, 0], [100, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [-100, 0, 0, 0]);
  const latents = new Float32Array([...first, ...first.map(() => 7)]);
  const { width, height, data } = previewImage(latents, [2, 4, 2, 3], published("sd1"));
  expect([width, height]).toEqual([3, 2]);
  expect([...data]).toEqual([128, 255, 128, 128, 128, 0].flatMap((level) => [level, level, level]));
});

test("the published factors are for the published latents alone", () => {
  const { unet, vae, ...rest } = configurationOf("sdxl");
  const others: readonly [Architecture, ModelConfiguration][] = [
    ["sd3", { ...rest, unet: unet!, vae: vae! }],
    ["sdxl", { ...rest, unet: { ...unet!, modelChannels: 64 }, vae: vae! }],
    ["sdxl", { ...rest, unet: unet!, vae: { ...vae!, scale: 0.18215 } }],
    ["sdxl", { ...rest, unet: unet!, vae: { ...vae!, shift: 0.1 } }],
    ["sdxl", { ...rest, unet: unet!, vae: { ...vae!, latentChannels: 16 } }],
    ["sdxl", { ...rest, unet: unet! }],
  ];
  for (const [architecture, configuration] of others) expect(publishedDecoder(architecture, configuration)).toBeUndefined();
});
