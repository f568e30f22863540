import { UserError } from "../formats/errors.ts";
import type { Architecture } from "./architecture.ts";
import type { UNetStructure } from "./configuration.ts";

/** Input channels besides 4 (latents) and 9 (latents, mask, masked latents), and the models known for them. */
const OTHER_CHANNELS: Readonly<Record<number, string>> = {
  5: "a depth-to-image model",
  6: "a pixel-space model",
  7: "the x4 upscaler",
  8: "an image-conditioned model (InstructPix2Pix, Zero123, …)",
  12: "an image-conditioned model",
  16: "a model with 16 latent channels",
};

/** Width of the embedded sizes, crops and scores of SDXL's `y`: one number each. */
const SIZE_EMBEDDING = 256;

/**
 * Tells the architecture of a UNet by its structure; widths are not looked at, so that narrow models are found too.
 * SD2.x differs from SD1.x by linear projections around its transformers; SDXL has a label embedding; its refiner has no
 * transformer at the lowest resolution, or a `y` of the pooled text and five embedded numbers (the base has six); unCLIP has a label
 * embedding and transformers at the full resolution, where SDXL has none.
 * @param encoders starts of the keys of the text encoders that are there
 * Throws "checkpoint.unsupported" for a UNet of another kind.
 */
export function detectArchitecture(path: string, unet: UNetStructure, encoders: readonly string[]): Architecture {
  if (unet.inChannels !== 4 && unet.inChannels !== 9) {
    const label = OTHER_CHANNELS[unet.inChannels] ?? "an unknown model";
    throw unsupported(path, `its UNet takes ${unet.inChannels} input channels, as ${label} does; supported are 4, and 9 for inpainting`);
  }
  if (unet.contextWidth === 0) throw unsupported(path, "its UNet takes no text (it has no cross-attention)");
  if (unet.admWidth === 0) return unet.linearProjections ? "sd2" : "sd1";
  if (unet.levels[0]?.down.some((depth) => depth > 0)) {
    throw unsupported(path, "its UNet has the structure of unCLIP (image variations), which is not supported");
  }
  if (encoders.some((prefix) => prefix.startsWith("conditioner.embedders.1."))) return "sdxl";
  if (encoders.includes("conditioner.embedders.0.model.")) return "sdxl-refiner";
  const lowest = unet.levels.at(-1);
  const isRefiner = lowest?.down.every((depth) => depth === 0) || unet.admWidth === unet.contextWidth + 5 * SIZE_EMBEDDING;
  return isRefiner ? "sdxl-refiner" : "sdxl";
}

function unsupported(path: string, reason: string): UserError {
  return new UserError("checkpoint.unsupported", `${path}: ${reason}.`);
}
