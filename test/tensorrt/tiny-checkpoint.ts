import { join } from "node:path";
import { fromFloat32, type WeightDtype } from "../../src/formats/numbers.ts";
import { SafetensorsFile } from "../../src/formats/safetensors.ts";
import { writeSafetensors } from "../../src/formats/safetensors-writer.ts";
import type { Component } from "../../src/models/architecture.ts";
import type { Checkpoint, Weight } from "../../src/models/checkpoint.ts";
import type { ModelConfiguration, TextEncoderConfiguration, UNetConfiguration } from "../../src/models/configuration.ts";
import type { DescribedArchitecture } from "../../src/models/full-size.ts";
import { textEncoderShapes } from "../../src/models/text-encoder-structure.ts";
import { unetShapes } from "../../src/models/unet-shapes.ts";
import { vaeShapes, type VaeStructure } from "../../src/models/vae-structure.ts";

type Shapes = ReadonlyMap<string, readonly number[]>;

const CONTEXT = 64;

/** The shape of each architecture's UNet, narrow and shallow. */
const UNETS: Readonly<
  Record<DescribedArchitecture, Pick<UNetConfiguration, "admWidth" | "heads" | "linearProjections" | "levels" | "middle">>
> = {
  sd1: {
    admWidth: 0,
    heads: { count: 2 },
    linearProjections: false,
    levels: levels([32, 64], [1, 1]),
    middle: { residualBlocks: 2, depth: 1 },
  },
  sd2: {
    admWidth: 0,
    heads: { width: 32 },
    linearProjections: true,
    levels: levels([32, 64], [1, 1]),
    middle: { residualBlocks: 2, depth: 1 },
  },
  sdxl: {
    admWidth: 96,
    heads: { width: 32 },
    linearProjections: true,
    levels: levels([32, 64], [0, 2]),
    middle: { residualBlocks: 2, depth: 2 },
  },
  "sdxl-refiner": {
    admWidth: 80,
    heads: { width: 32 },
    linearProjections: true,
    levels: levels([32, 64, 64], [0, 1, 0]),
    middle: { residualBlocks: 2, depth: 1 },
  },
};

function levels(widths: readonly number[], depths: readonly number[]): UNetConfiguration["levels"] {
  return widths.map((width, index) => ({ width, down: [depths[index]!], up: [depths[index]!, depths[index]!] }));
}

const CLIP = { width: 64, layers: 2, heads: 2, tokens: 77 } as const;
const CLIP_L = {
  ...CLIP,
  component: "text_encoder",
  layout: "transformers",
  activation: "quick_gelu",
  projectionWidth: 0,
  padToken: 49407,
  hiddenState: "penultimate",
} as const;
const OPEN_CLIP = {
  ...CLIP,
  component: "text_encoder_2",
  layout: "openclip",
  activation: "gelu",
  projectionWidth: 64,
  padToken: 0,
  hiddenState: "penultimate",
} as const;

const ENCODERS: Readonly<Record<DescribedArchitecture, readonly TextEncoderConfiguration[]>> = {
  sd1: [{ ...CLIP_L, prefix: "cond_stage_model.transformer.text_model." }],
  sd2: [{ ...OPEN_CLIP, component: "text_encoder", prefix: "cond_stage_model.model.", projectionWidth: 0 }],
  sdxl: [
    { ...CLIP_L, prefix: "conditioner.embedders.0.transformer.text_model." },
    { ...OPEN_CLIP, prefix: "conditioner.embedders.1.model." },
  ],
  "sdxl-refiner": [{ ...OPEN_CLIP, prefix: "conditioner.embedders.0.model." }],
};

const VAE: VaeStructure = {
  widths: [32, 64],
  encoderBlocks: 1,
  decoderBlocks: 2,
  imageChannels: 3,
  latentChannels: 4,
  quantConvolutions: true,
};

/** A checkpoint of an architecture, tiny, with random weights, written into the folder. */
export async function tinyCheckpoint(architecture: DescribedArchitecture, dtype: WeightDtype, folder: string): Promise<Checkpoint> {
  const unet: UNetConfiguration = { ...UNETS[architecture], inChannels: 4, outChannels: 4, modelChannels: 32, contextWidth: CONTEXT };
  const textEncoders = ENCODERS[architecture];
  const tables = new Map<Component, Shapes>([["unet", unetShapes(unet)]]);
  for (const encoder of textEncoders) tables.set(encoder.component, textEncoderShapes({ ...encoder, vocabulary: 100, innerWidth: 128 }));
  tables.set("vae_encoder", vaeShapes(VAE, "encoder"));
  tables.set("vae_decoder", vaeShapes(VAE, "decoder"));
  const path = join(folder, `${architecture}-${dtype}.safetensors`);
  const places = await writeRandom(path, new Map([...tables.values()].flatMap((shapes) => [...shapes])), dtype);
  const configuration: ModelConfiguration = {
    unet,
    textEncoders,
    vae: { latentChannels: 4, factor: 2, scale: 0.18, shift: 0 },
    prediction: "epsilon",
    betaStart: 0.00085,
    betaEnd: 0.012,
    zeroTerminalSnr: false,
  };
  const components = new Map(
    Array.from(tables, ([component, shapes]) => [component, new Map([...shapes.keys()].map((name) => [name, places.get(name)!]))] as const),
  );
  return { path, layout: "single-file", architecture, configuration, components, files: [path], unused: [] };
}

/** Matrices of variance 1/fan_in, norms about 1, biases about 0. */
async function writeRandom(path: string, shapes: Shapes, dtype: WeightDtype): Promise<Map<string, Weight>> {
  let state = 1;
  const uniform = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32 - 0.5;
  const sources = Array.from(shapes, ([name, shape]) => ({
    name,
    dtype,
    shape,
    chunks: function* () {
      const count = shape.reduce((product, size) => product * size, 1);
      const scale = shape.length === 1 ? 0.1 : Math.sqrt((12 * shape[0]!) / count);
      const centre = shape.length === 1 && name.endsWith("weight") ? 1 : 0;
      yield fromFloat32(
        Float32Array.from({ length: count }, () => centre + scale * uniform()),
        dtype,
      );
    },
  }));
  await writeSafetensors(path, sources, {});
  const file = await SafetensorsFile.open(path);
  await file.close();
  return new Map(
    [...file.tensors.values()].map(({ name, shape, offset, length }) => [name, { name, dtype, shape, file: path, offset, length }]),
  );
}
