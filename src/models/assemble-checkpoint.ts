import { UserError } from "../formats/errors.ts";
import { ARCHITECTURE_LABEL, type Architecture, type Component } from "./architecture.ts";
import type { Checkpoint, Weight, WeightTable } from "./checkpoint.ts";
import type { ModelConfiguration, TextEncoderConfiguration, UNetConfiguration, UNetStructure, VaeConfiguration } from "./configuration.ts";
import { detectArchitecture } from "./detection.ts";
import { TEXT_ENCODER_PLACES } from "./single-file-names.ts";
import { TensorShapes } from "./tensor-shapes.ts";
import { textEncoderConfiguration } from "./text-encoder-configuration.ts";
import { textEncoderShapes, textEncoderStructure } from "./text-encoder-structure.ts";
import { unetShapes } from "./unet-shapes.ts";
import { unetStructureFromLdm } from "./unet-structure.ts";
import { VAE_PREFIX, vaeShapes, vaeStructure, type VaeHalf } from "./vae-structure.ts";
import type { WeightCollection } from "./weight-collection.ts";

/** Head width of every UNet since SD2.x; SD1.x has 8 heads whatever the width. */
const UNET_HEAD_WIDTH = 64;
const SD1_HEADS = 8;

/** Stable Diffusion's training schedule (`v1-inference.yaml`), which all its successors kept. */
const BETA_START = 0.00085;
const BETA_END = 0.012;

const VAE_SCALE: Readonly<Partial<Record<Architecture, number>>> = { sdxl: 0.13025, "sdxl-refiner": 0.13025 };
const FIRST_VAE_SCALE = 0.18215;

type Tables = Map<Component, WeightTable>;

/**
 * Sorts weights into components, checks that each component has all of its weights in the right shapes, and fills in the
 * configuration. Throws "checkpoint.incomplete" or "checkpoint.unsupported". The weights must hold a UNet.
 */
export function assembleCheckpoint(collection: WeightCollection): Checkpoint {
  const { path, weights, declared } = collection;
  const shapes = new TensorShapes(path, weights);
  const structure = unetStructureFromLdm(shapes);
  const places = TEXT_ENCODER_PLACES.filter(({ prefix }) => holds(shapes, prefix));
  const architecture = detectArchitecture(
    path,
    structure,
    places.map(({ prefix }) => prefix),
  );
  const components: Tables = new Map();
  const unet = takeUNet(collection, shapes, architecture, structure, components);
  const textEncoders = places.map((place) => takeTextEncoder(collection, shapes, architecture, place, components));
  const vae = takeVae(collection, shapes, architecture, components);
  checkTextEncoders(path, architecture, unet, textEncoders);

  const configuration: ModelConfiguration = {
    unet,
    textEncoders,
    ...(vae ? { vae } : {}),
    prediction: declared.prediction ?? "epsilon",
    betaStart: declared.betaStart ?? BETA_START,
    betaEnd: declared.betaEnd ?? BETA_END,
    zeroTerminalSnr: declared.zeroTerminalSnr ?? false,
  };
  const files = new Set([...components.values()].flatMap((table) => [...table.values()].map(({ file }) => file)));
  const unused = [...collection.unused, ...leftOver(collection, components, architecture)];
  return { path, layout: collection.layout, architecture, configuration, components, files: [...files], unused };
}

function takeUNet(
  { path, weights, declared }: WeightCollection,
  shapes: TensorShapes,
  architecture: Architecture,
  structure: UNetStructure,
  components: Tables,
): UNetConfiguration {
  checkLevels(path, structure);
  components.set("unet", take(shapes, weights, unetShapes(structure), `${ARCHITECTURE_LABEL[architecture]} UNet`));
  const heads = declared.unetHeads ?? (architecture === "sd1" ? { count: SD1_HEADS } : { width: UNET_HEAD_WIDTH });
  const divisor = "count" in heads ? heads.count : heads.width;
  for (const { width, down, up } of structure.levels) {
    if (width % divisor === 0 || [...down, ...up].every((depth) => depth === 0)) continue;
    throw new UserError("checkpoint.unsupported", `${path}: attention over ${width} channels cannot be split into heads by ${divisor}.`);
  }
  return { ...structure, heads };
}

/** The way up takes back what each block of the way down left, its first convolution or downsampler included. */
function checkLevels(path: string, { levels }: UNetStructure): void {
  const wrong = levels.findIndex(({ down, up }) => up.length !== down.length + 1);
  if (wrong < 0 && levels.length > 0) return;
  const { down, up } = levels[wrong] ?? { down: [], up: [] };
  const found = `at resolution ${wrong + 1} of ${levels.length}, ${down.length} residual blocks on the way down and ${up.length} on the way up`;
  const reason = levels.length === 0 ? "no blocks" : `${found} (there should be one more)`;
  throw new UserError("checkpoint.incomplete", `${path}: its UNet has ${reason}: the file is incomplete.`);
}

function takeTextEncoder(
  { path, weights, declared }: WeightCollection,
  shapes: TensorShapes,
  architecture: Architecture,
  { prefix, layout }: (typeof TEXT_ENCODER_PLACES)[number],
  components: Tables,
): TextEncoderConfiguration {
  const structure = textEncoderStructure(shapes, layout, prefix);
  const configuration = textEncoderConfiguration(path, architecture, structure, declared.textEncoders?.get(prefix));
  const { component, projectionWidth } = configuration;
  if (components.has(component)) {
    throw new UserError("checkpoint.unsupported", `${path} holds two text encoders for one place: ${component}.`);
  }
  components.set(component, take(shapes, weights, textEncoderShapes({ ...structure, projectionWidth }), `text encoder (${component})`));
  return configuration;
}

function takeVae(
  { weights, declared }: WeightCollection,
  shapes: TensorShapes,
  architecture: Architecture,
  components: Tables,
): VaeConfiguration | undefined {
  const halves = (["encoder", "decoder"] as const).filter((half) => holds(shapes, `${VAE_PREFIX}${half}.`));
  if (halves.length === 0) return undefined;
  const structure = vaeStructure(shapes);
  for (const half of halves) components.set(vaeComponent(half), take(shapes, weights, vaeShapes(structure, half), `VAE's ${half}`));
  return {
    latentChannels: structure.latentChannels,
    factor: 2 ** (structure.widths.length - 1),
    scale: declared.vae?.scale ?? VAE_SCALE[architecture] ?? FIRST_VAE_SCALE,
    shift: declared.vae?.shift ?? 0,
  };
}

function vaeComponent(half: VaeHalf): Component {
  return half === "encoder" ? "vae_encoder" : "vae_decoder";
}

/** The UNet reads the encoders' outputs side by side; SDXL's stand in other places than those of earlier models. */
function checkTextEncoders(
  path: string,
  architecture: Architecture,
  unet: UNetConfiguration,
  encoders: readonly TextEncoderConfiguration[],
): void {
  const isSdxl = unet.admWidth > 0;
  const stranger = encoders.find(({ prefix }) => prefix.startsWith(isSdxl ? "cond_stage_model." : "conditioner.embedders.1."));
  if (stranger) {
    const found = `its text encoder "${stranger.prefix}" does not belong to its UNet, which is ${ARCHITECTURE_LABEL[architecture]}'s`;
    throw new UserError("checkpoint.unsupported", `${path}: ${found}: the parts are of different models.`);
  }
  const width = encoders.reduce((sum, encoder) => sum + encoder.width, 0);
  if (encoders.length < (architecture === "sdxl" ? 2 : 1) || width === unet.contextWidth) return;
  const found = `its text encoders give ${width} numbers a token, its UNet takes ${unet.contextWidth}`;
  throw new UserError("checkpoint.unsupported", `${path}: ${found}: the parts are of different models.`);
}

function holds(shapes: TensorShapes, prefix: string): boolean {
  for (const name of shapes.names()) if (name.startsWith(prefix)) return true;
  return false;
}

/** The weights of one component, in the order of use. */
function take(
  shapes: TensorShapes,
  weights: ReadonlyMap<string, Weight>,
  expected: ReadonlyMap<string, readonly number[]>,
  what: string,
): WeightTable {
  shapes.require(expected, what);
  return new Map([...expected.keys()].map((name) => [name, weights.get(name)!]));
}

/** Names that only a part of a network has: one that is left over means that others of its part are missing. */
const PART_NAME =
  /^model\.diffusion_model\.(input_blocks|middle_block|output_blocks|label_emb)\.|^((down|up)_blocks|mid_block|add_embedding)\.|\.(resblocks|encoder\.layers)\.\d+\.|^(first_stage_model\.|vae\/)(en|de)coder\./;

function leftOver({ path, weights }: WeightCollection, components: Tables, architecture: Architecture) {
  const used = new Set([...components.values()].flatMap((table) => [...table.keys()]));
  const names = [...weights.keys()].filter((name) => !used.has(name));
  const stray = names.find((name) => PART_NAME.test(name));
  if (stray !== undefined) {
    const reason = `"${stray}" has no place in ${ARCHITECTURE_LABEL[architecture]}: weights next to it are missing, or the model is of an unknown kind`;
    throw new UserError("checkpoint.incomplete", `${path}: ${reason}.`);
  }
  return names.map((name) => ({ name, reason: `no ${ARCHITECTURE_LABEL[architecture]} network uses it` }));
}
