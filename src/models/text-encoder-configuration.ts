import { UserError } from "../formats/errors.ts";
import type { Architecture } from "./architecture.ts";
import type { TextEncoderConfiguration } from "./configuration.ts";
import type { TextEncoderStructure } from "./text-encoder-structure.ts";
import type { DeclaredTextEncoder } from "./weight-collection.ts";

/** Every published CLIP text encoder has heads of this width. */
const HEAD_WIDTH = 64;

/** CLIP-L fills prompts up with its end token, OpenCLIP with 0. */
const PAD_TOKEN = { quick_gelu: 49407, gelu: 0 } as const;

/**
 * Completes what an encoder's shapes tell with what its architecture does with it.
 * @param declared what diffusers' config.json says, where there is one
 * Throws "checkpoint.unsupported" where the heads do not divide the width.
 */
export function textEncoderConfiguration(
  path: string,
  architecture: Architecture,
  structure: TextEncoderStructure,
  declared: DeclaredTextEncoder | undefined,
): TextEncoderConfiguration {
  const { layout, prefix, width, layers, tokens, projectionWidth } = structure;
  const heads = declared?.heads ?? width / HEAD_WIDTH;
  if (!Number.isInteger(width / heads) || !Number.isInteger(heads)) {
    throw new UserError(
      "checkpoint.unsupported",
      `${path}: the text encoder "${prefix}" is ${width} wide, which ${heads} heads cannot share.`,
    );
  }
  const component = textEncoderComponent(architecture, prefix);
  const activation = declared?.activation ?? (isOpenClip(architecture, component) ? "gelu" : "quick_gelu");
  return {
    component,
    layout,
    prefix,
    width,
    layers,
    heads,
    tokens,
    activation,
    projectionWidth: takesPooledOutput(architecture, component) ? projectionWidth : 0,
    padToken: PAD_TOKEN[activation],
    hiddenState: hiddenState(architecture, layout),
  };
}

/** The refiner's only encoder is SDXL's second, and diffusers calls it so. */
export function textEncoderComponent(architecture: Architecture, prefix: string): TextEncoderConfiguration["component"] {
  return architecture === "sdxl-refiner" || prefix.startsWith("conditioner.embedders.1.") ? "text_encoder_2" : "text_encoder";
}

/** Whether the pooled, projected output of an encoder is part of the UNet's `y`. */
export function takesPooledOutput(architecture: Architecture, component: TextEncoderConfiguration["component"]): boolean {
  return (architecture === "sdxl" || architecture === "sdxl-refiner") && component === "text_encoder_2";
}

function isOpenClip(architecture: Architecture, component: TextEncoderConfiguration["component"]): boolean {
  return architecture === "sd2" || component === "text_encoder_2";
}

/** diffusers' folders of SD2.x leave the encoder's last layer out, so that the last one there is the penultimate one. */
function hiddenState(architecture: Architecture, layout: TextEncoderConfiguration["layout"]): TextEncoderConfiguration["hiddenState"] {
  if (architecture === "sd1") return "last";
  if (architecture === "sd2") return layout === "openclip" ? "penultimate_normalized" : "last";
  return "penultimate";
}
