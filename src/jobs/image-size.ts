import type { EngineBundle } from "../formats/engine-bundle.ts";
import type { ProfileAxis } from "../formats/engine-profile.ts";
import { UserError } from "../formats/errors.ts";
import type { OpenedBundle } from "./engine-cache.ts";

const PIXELS_PER_LATENT = 8;
const LATENT_CHANNELS = 4;

/** Throws "bundle.invalid" where the engine lacks a component that making images needs, or makes images from more than a prompt. */
export function checkComponents({ bundle, configuration }: OpenedBundle, { image }: { readonly image?: string | undefined }): void {
  const encoders = configuration.textEncoders.map(({ component }) => component);
  const needed = ["unet", "vae_decoder", ...encoders, ...(image === undefined ? [] : ["vae_encoder"])];
  const missing = needed.filter((each) => !bundle.components.some(({ component }) => component === each));
  if (missing.length > 0) {
    throw new UserError(
      "bundle.invalid",
      `The engine "${bundle.name}" has no ${missing.join(" and no ")}, which making images needs. Export the checkpoint again with all components.`,
    );
  }
  const channels = configuration.unet?.inChannels ?? LATENT_CHANNELS;
  if (channels !== LATENT_CHANNELS) {
    throw new UserError(
      "bundle.invalid",
      `The engine "${bundle.name}" is one for inpainting (${channels} input channels): it needs a mask, which cannot be given. Use another checkpoint.`,
    );
  }
}

export interface ImageSize {
  readonly width: number;
  readonly height: number;
}

/** The size of the images to make, in pixels: as asked, else what the engine is tuned for; checked against its profile. */
export function checkImageSize(
  { name, components }: EngineBundle,
  asked: { readonly width?: number | undefined; readonly height?: number | undefined; readonly batch: number },
): ImageSize {
  const profile = components.find(({ component }) => component === "unet")?.profile;
  if (!profile?.width || !profile.height) {
    throw new UserError("bundle.invalid", `The engine "${name}" has no unet. Export the checkpoint again with that component.`);
  }
  checkRange(name, "batch", asked.batch, profile.batch);
  const width = asked.width ?? profile.width.opt;
  const height = asked.height ?? profile.height.opt;
  checkPixels(name, "width", width, profile.width);
  checkPixels(name, "height", height, profile.height);
  return { width, height };
}

function checkPixels(engine: string, axis: string, value: number, range: ProfileAxis): void {
  if (value % PIXELS_PER_LATENT !== 0) {
    const lower = Math.max(PIXELS_PER_LATENT, Math.floor(value / PIXELS_PER_LATENT) * PIXELS_PER_LATENT);
    throw new UserError(
      "option.invalid",
      `The ${axis} ${value} is not a multiple of ${PIXELS_PER_LATENT}: use ${lower} or ${lower + PIXELS_PER_LATENT}.`,
    );
  }
  checkRange(engine, axis, value, range);
}

function checkRange(engine: string, axis: string, value: number, { min, max }: ProfileAxis): void {
  if (value >= min && value <= max) return;
  const range = min === max ? `only ${axis} ${min}` : `a ${axis} from ${min} to ${max}`;
  throw new UserError(
    "option.invalid",
    `The engine "${engine}" takes ${range}, not ${value}. Export the checkpoint again with --${axis} for more.`,
  );
}
