import type { Engine } from "../engines/engine.ts";
import type { Architecture } from "../models/architecture.ts";
import type { ModelConfiguration } from "../models/configuration.ts";
import { fitLinearDecoder, type ImageSize } from "./fit-linear-decoder.ts";
import type { LinearDecoder } from "./preview.ts";

/** An approximation that others have published, and the models whose latents it is of. */
interface Published extends LinearDecoder {
  /** Of the UNet: what it was trained on is these latents. */
  readonly modelChannels: readonly number[];
  /** The VAE's scaling factor. */
  readonly scale: number;
}

/*
 * As ComfyUI publishes them (comfy/latent_formats.py, SD15 and SDXL); the method is that of
 * https://discuss.huggingface.co/t/decoding-latents-to-rgb-without-upscaling/23204.
 */
const SD1: Published = {
  modelChannels: [320],
  scale: 0.18215,
  factors: [
    [0.3512, 0.2297, 0.3227],
    [0.325, 0.4974, 0.235],
    [-0.2829, 0.1762, 0.2721],
    [-0.212, -0.2616, -0.7177],
  ],
  bias: [0, 0, 0],
};
const SDXL: Published = {
  modelChannels: [320, 384],
  scale: 0.13025,
  factors: [
    [0.3651, 0.4232, 0.4341],
    [-0.2533, -0.0042, 0.1068],
    [0.1076, 0.1111, -0.0362],
    [-0.3165, -0.2492, -0.2188],
  ],
  bias: [0.1084, -0.0175, -0.0011],
};
const PUBLISHED: Readonly<Partial<Record<Architecture, Published>>> = { sd1: SD1, sd2: SD1, sdxl: SDXL, "sdxl-refiner": SDXL };

/** A loaded engine and what it is an engine of. */
interface Model {
  readonly engine: Engine;
  readonly architecture: Architecture;
  readonly configuration: ModelConfiguration;
}

const fitted = new WeakMap<Engine, Promise<LinearDecoder | undefined>>();

/**
 * The linear approximation of a model's VAE decoder: the published one where its latents are those of a published family, else one that is
 * fitted, once for each loaded engine, to what the decoder itself makes.
 * @param size of images that the VAE decoder takes: from 512 pixels a side on one is decoded, of smaller ones several
 * @returns nothing where the model has no VAE decoder, or where it gives values that are not finite
 */
export function linearDecoder({ engine, architecture, configuration }: Model, size: ImageSize): Promise<LinearDecoder | undefined> {
  const published = publishedDecoder(architecture, configuration);
  if (published) return Promise.resolve(published);
  const { vae } = configuration;
  if (!vae) return Promise.resolve(undefined);
  const known = fitted.get(engine);
  if (known) return known;
  const fitting = fitLinearDecoder(engine, vae, size);
  fitted.set(engine, fitting);
  // A failure is this run's alone.
  fitting.catch(() => fitted.delete(engine));
  return fitting;
}

/**
 * The approximation for a family's latents. Which latents a model has, its UNet was trained on: one as wide as the published ones, whose VAE
 * has the published scale, goes back to their weights, and a VAE that went on from there keeps its latents. A UNet of another width has
 * begun from nothing, with a VAE that may have any.
 */
export function publishedDecoder(architecture: Architecture, { unet, vae }: ModelConfiguration): LinearDecoder | undefined {
  const published = PUBLISHED[architecture];
  if (!published || !unet || !vae) return undefined;
  const isPublished =
    published.modelChannels.includes(unet.modelChannels) &&
    vae.latentChannels === published.factors.length &&
    vae.scale === published.scale &&
    vae.shift === 0;
  return isPublished ? published : undefined;
}
