import type { BackendName } from "../engines/backend.ts";
import { UserError } from "../formats/errors.ts";
import type { Profile, ProfileAxis } from "../formats/engine-profile.ts";
import type { Architecture } from "../models/architecture.ts";
import type { ExportOptions } from "./options.ts";

/** The side of the images an architecture was trained on, in pixels. */
const NATIVE_SIZE: Readonly<Record<Architecture, number>> = {
  sd1: 512,
  sd2: 768,
  sdxl: 1024,
  "sdxl-refiner": 1024,
  sd3: 1024,
  flux: 1024,
  wan: 720,
};

const PIXELS_PER_LATENT = 8;
const TOKENS_PER_CHUNK = 77;

/** Height and width, batch and context where nobody says otherwise. */
interface Bounds {
  readonly batch: ProfileAxis;
  readonly pixels: ProfileAxis;
  readonly chunks: number;
}

/** ONNX Runtime has no shapes to tune for, so the bounds are wide. */
function wideBounds(side: number): Bounds {
  return { batch: { min: 1, opt: 1, max: 16 }, pixels: { min: 64, opt: side, max: Math.max(2048, side) }, chunks: 8 };
}

/**
 * TensorRT looks for kernels that work in all of the profile, so it spans what the model draws well: of SDXL 832 to 1920 pixels. In steps of
 * 64, which every UNet's levels divide.
 */
function tunedBounds(side: number): Bounds {
  const min = Math.max(64, Math.floor((side * 13) / 16 / 64) * 64);
  const max = Math.ceil((side * 15) / 8 / 64) * 64;
  return { batch: { min: 1, opt: 1, max: 4 }, pixels: { min, opt: side, max }, chunks: 4 };
}

/**
 * The side of the images the checkpoint was trained on, in pixels: its metadata's `modelspec.resolution` ("128x128",
 * https://github.com/Stability-AI/ModelSpec) where it has one, else its architecture's.
 */
export function nativeSize(architecture: Architecture, metadata: ReadonlyMap<string, string>): number {
  const match = /^(\d{2,5})x\d{2,5}$/.exec(metadata.get("modelspec.resolution") ?? "");
  const side = match ? Number(match[1]) : 0;
  return side >= 64 && side % PIXELS_PER_LATENT === 0 ? side : NATIVE_SIZE[architecture];
}

/**
 * The optimization profile that the options ask for, in images, pixels and tokens.
 * @param side of the images that the checkpoint was trained on, in pixels
 */
export function chooseProfile(options: ExportOptions, backend: BackendName, side: number): Profile {
  const { batch, pixels, chunks } = backend === "onnxruntime" ? wideBounds(side) : tunedBounds(side);
  const profile = {
    batch: axis(options.batch) ?? batch,
    height: axis(options.height) ?? pixels,
    width: axis(options.width) ?? pixels,
    context: axis(options.context) ?? { min: 1, opt: TOKENS_PER_CHUNK, max: TOKENS_PER_CHUNK * chunks },
  };
  checkPixels("height", profile.height);
  checkPixels("width", profile.width);
  if (!options.static) return { static: false, ...profile };
  return {
    static: true,
    batch: only(profile.batch),
    height: only(profile.height),
    width: only(profile.width),
    context: only(profile.context),
  };
}

function axis(range: readonly [number, number, number] | undefined): ProfileAxis | undefined {
  return range && { min: range[0], opt: range[1], max: range[2] };
}

/** A static engine runs at the size it is tuned for and no other. */
function only({ opt }: ProfileAxis): ProfileAxis {
  return { min: opt, opt, max: opt };
}

function checkPixels(name: string, { min, opt, max }: ProfileAxis): void {
  const bad = [min, opt, max].find((value) => value % PIXELS_PER_LATENT !== 0);
  if (bad !== undefined) {
    throw new UserError("option.invalid", `--${name} ${min},${opt},${max}: ${bad} is not a multiple of ${PIXELS_PER_LATENT} pixels.`);
  }
}

/** The axes a component has: text encoders have no image, and only the UNet takes a context. */
export function profileOf(component: string, profile: Profile): Profile {
  const { static: isStatic, batch, height, width, context } = profile;
  if (component.startsWith("text_encoder")) return { static: isStatic, batch };
  const image = { static: isStatic, batch, ...(height && { height }), ...(width && { width }) };
  return component.startsWith("vae") || !context ? image : { ...image, context };
}
