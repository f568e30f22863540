import type { Architecture, Component } from "./architecture.ts";
import { assembleCheckpoint } from "./assemble-checkpoint.ts";
import type { Checkpoint, Weight } from "./checkpoint.ts";
import type { UNetStructure } from "./configuration.ts";
import { textEncoderShapes, type TextEncoderStructure } from "./text-encoder-structure.ts";
import { unetShapes } from "./unet-shapes.ts";
import { vaeShapes, type VaeStructure } from "./vae-structure.ts";

export type DescribedArchitecture = Extract<Architecture, "sd1" | "sd2" | "sdxl" | "sdxl-refiner">;

export interface DescriptionOptions {
  /** Nine input channels instead of four. */
  readonly inpainting?: boolean;
  /** Of every weight: two bytes or four. */
  readonly dtype?: "F16" | "BF16" | "F32";
  /** Components to describe besides the UNet; all by default. */
  readonly components?: readonly Component[];
}

const BYTES = { F16: 2, BF16: 2, F32: 4 } as const;

/** Levels of a UNet whose blocks on the way up are one more than those down, of one depth in each level. */
function levels(modelChannels: number, multipliers: readonly number[], depths: readonly number[]): UNetStructure["levels"] {
  return multipliers.map((multiplier, index) => {
    const depth = depths[index]!;
    return { width: modelChannels * multiplier, down: [depth, depth], up: [depth, depth, depth] };
  });
}

/** Stability AI's `v1-inference.yaml`, `v2-inference.yaml`, `sd_xl_base.yaml` and `sd_xl_refiner.yaml`. */
const UNETS: Readonly<Record<DescribedArchitecture, Omit<UNetStructure, "inChannels">>> = {
  sd1: {
    outChannels: 4,
    modelChannels: 320,
    contextWidth: 768,
    admWidth: 0,
    linearProjections: false,
    levels: levels(320, [1, 2, 4, 4], [1, 1, 1, 0]),
    middle: { residualBlocks: 2, depth: 1 },
  },
  sd2: {
    outChannels: 4,
    modelChannels: 320,
    contextWidth: 1024,
    admWidth: 0,
    linearProjections: true,
    levels: levels(320, [1, 2, 4, 4], [1, 1, 1, 0]),
    middle: { residualBlocks: 2, depth: 1 },
  },
  sdxl: {
    outChannels: 4,
    modelChannels: 320,
    contextWidth: 2048,
    admWidth: 2816,
    linearProjections: true,
    levels: levels(320, [1, 2, 4], [0, 2, 10]),
    middle: { residualBlocks: 2, depth: 10 },
  },
  "sdxl-refiner": {
    outChannels: 4,
    modelChannels: 384,
    contextWidth: 1280,
    admWidth: 2560,
    linearProjections: true,
    levels: levels(384, [1, 2, 4, 4], [0, 4, 4, 0]),
    middle: { residualBlocks: 2, depth: 4 },
  },
};

const CLIP = { tokens: 77, vocabulary: 49408 } as const;

/** OpenAI's CLIP ViT-L/14. */
function clipL(prefix: string): TextEncoderStructure {
  return { ...CLIP, layout: "transformers", prefix, width: 768, layers: 12, innerWidth: 3072, projectionWidth: 0 };
}

/** LAION's OpenCLIP ViT-H/14, whose pooled output Stable Diffusion 2.x does not use. */
function openClipH(prefix: string): TextEncoderStructure {
  return { ...CLIP, layout: "openclip", prefix, width: 1024, layers: 24, innerWidth: 4096, projectionWidth: 0 };
}

/** LAION's OpenCLIP ViT-bigG/14. */
function openClipBigG(prefix: string): TextEncoderStructure {
  return { ...CLIP, layout: "openclip", prefix, width: 1280, layers: 32, innerWidth: 5120, projectionWidth: 1280 };
}

const TEXT_ENCODERS: Readonly<Record<DescribedArchitecture, Partial<Record<Component, TextEncoderStructure>>>> = {
  sd1: { text_encoder: clipL("cond_stage_model.transformer.text_model.") },
  sd2: { text_encoder: openClipH("cond_stage_model.model.") },
  sdxl: {
    text_encoder: clipL("conditioner.embedders.0.transformer.text_model."),
    text_encoder_2: openClipBigG("conditioner.embedders.1.model."),
  },
  "sdxl-refiner": { text_encoder_2: openClipBigG("conditioner.embedders.0.model.") },
};

const VAE: VaeStructure = {
  widths: [128, 256, 512, 512],
  encoderBlocks: 2,
  decoderBlocks: 3,
  imageChannels: 3,
  latentChannels: 4,
  quantConvolutions: true,
};

/** Whether the published checkpoint of an architecture is known here. */
export function isDescribed(architecture: Architecture): architecture is DescribedArchitecture {
  return Object.hasOwn(UNETS, architecture);
}

/**
 * The published single-file checkpoint of an architecture without its numbers: every weight's name, shape and dtype. It stands in no
 * file; offsets count from the start of the tensors' data, in the order listed.
 */
export function describeCheckpoint(architecture: DescribedArchitecture, options: DescriptionOptions = {}): Checkpoint {
  const { inpainting = false, dtype = "F16", components } = options;
  const path = `${architecture}.safetensors`;
  const shapes = new Map(unetShapes({ ...UNETS[architecture], inChannels: inpainting ? 9 : 4 }));
  for (const [component, table] of otherComponents(architecture)) {
    if (components && !components.includes(component)) continue;
    for (const [name, shape] of table) shapes.set(name, shape);
  }
  const weights = new Map<string, Weight>();
  let offset = 0;
  for (const [name, shape] of shapes) {
    const length = shape.reduce((product, size) => product * size, BYTES[dtype]);
    weights.set(name, { name, dtype, shape, file: path, offset, length });
    offset += length;
  }
  return assembleCheckpoint({ path, layout: "single-file", weights, unused: [], declared: {} });
}

function otherComponents(architecture: DescribedArchitecture): [Component, Map<string, readonly number[]>][] {
  const encoders = Object.entries(TEXT_ENCODERS[architecture]) as [Component, TextEncoderStructure][];
  return [
    ...encoders.map(([component, encoder]): [Component, Map<string, readonly number[]>] => [component, textEncoderShapes(encoder)]),
    ["vae_encoder", vaeShapes(VAE, "encoder")],
    ["vae_decoder", vaeShapes(VAE, "decoder")],
  ];
}
