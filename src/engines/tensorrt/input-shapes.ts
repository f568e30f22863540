import { UserError } from "../../formats/errors.ts";
import type { Profile, ProfileAxis } from "../../formats/engine-profile.ts";
import type { EmittedGraph } from "../../models/graph/emit.ts";
import type { NativeRange } from "./native.ts";

const PIXELS_PER_LATENT = 8;
/** Positions of a CLIP text encoder, to which every chunk of a prompt is filled up. */
const CLIP_TOKENS = 77;

const LATENT_AXES = ["height", "width"] as const;

/**
 * What the dynamic axes of a component's inputs may be. A UNet runs positive and negative prompts as one batch, so its batch axis goes up to
 * twice the profile's; a text encoder runs one chunk of a prompt at a time.
 */
export function inputRanges(component: string, graph: EmittedGraph, profile: Profile): Record<string, NativeRange> {
  const isDenoiser = component === "unet" || component === "transformer";
  const sizeOf = (axis: string): ProfileAxis => {
    const { batch, height, width, context } = profile;
    const pixels = { height, width };
    if (axis === "batch") return isDenoiser ? guided(profile.static, batch) : oneByOne(profile.static, batch);
    if (axis === "tokens") return isDenoiser ? required(context, axis) : { min: CLIP_TOKENS, opt: CLIP_TOKENS, max: CLIP_TOKENS };
    if (axis === "image_height") return required(height, axis);
    if (axis === "image_width") return required(width, axis);
    const latent = LATENT_AXES.find((each) => each === axis);
    if (latent) return inLatents(required(pixels[latent], axis));
    throw new Error(`The ${component} has the dynamic axis "${axis}", which no profile has.`);
  };
  const range = (bound: keyof ProfileAxis, shape: readonly (number | string)[]) =>
    shape.map((size) => (typeof size === "number" ? size : sizeOf(size)[bound]));
  return Object.fromEntries(
    graph.inputs.map(({ name, shape }) => [name, { min: range("min", shape), opt: range("opt", shape), max: range("max", shape) }]),
  );
}

/** Without guidance half of it is run, so that is allowed too where shapes are dynamic. */
function guided(isStatic: boolean, { min, opt, max }: ProfileAxis): ProfileAxis {
  return isStatic ? { min: 2 * opt, opt: 2 * opt, max: 2 * opt } : { min, opt: 2 * opt, max: 2 * max };
}

/** Chunks of a prompt and pictures are encoded and decoded one at a time. */
function oneByOne(isStatic: boolean, { max }: ProfileAxis): ProfileAxis {
  return { min: 1, opt: 1, max: isStatic ? 1 : max };
}

function inLatents({ min, opt, max }: ProfileAxis): ProfileAxis {
  return { min: min / PIXELS_PER_LATENT, opt: opt / PIXELS_PER_LATENT, max: max / PIXELS_PER_LATENT };
}

function required(axis: ProfileAxis | undefined, name: string): ProfileAxis {
  if (!axis) throw new UserError("option.invalid", `The profile has no ${name}.`);
  return axis;
}

/** The axes of a static profile as fixed sizes in the graph itself, which lets TensorRT fold every shape calculation. */
export function fixStaticSizes(graph: EmittedGraph, ranges: Readonly<Record<string, NativeRange>>): EmittedGraph {
  const isStatic = Object.values(ranges).every(({ min, max }) => min.every((size, axis) => size === max[axis]));
  if (!isStatic) return graph;
  return { ...graph, inputs: graph.inputs.map((input) => ({ ...input, shape: ranges[input.name]!.opt })) };
}
