import type { AxisRequest, EngineChoice, JobValues, Range } from "../protocol.ts";
import type { AxisForm, Field, GenerationForm } from "./form.ts";

/** Why a field cannot be used: a text of the page's, and what stands in its places. */
export interface Problem {
  readonly text:
    | "needsEngine"
    | "cannotRun"
    | "needsNumber"
    | "needsWhole"
    | "needsSeed"
    | "outOfRange"
    | "notMultiple"
    | "onlyOne"
    | "takesNoImage"
    | "needsValues"
    | "needsLora"
    | "sameAxes"
    | "unknownValue";
  readonly values: readonly (string | number)[];
}

export type Problems = { readonly [F in Field]?: Problem };

/** What the form asks for; `values` is there where there is no problem. */
export interface CheckedForm {
  readonly problems: Problems;
  readonly values?: JobValues;
}

/** Names that fields of a choice may have. */
export interface Names {
  readonly samplers: readonly string[];
  readonly schedules: readonly string[];
}

/** Sides of pictures are counted in the VAE's blocks. */
export const PIXELS_PER_LATENT = 8;
const MOST_STEPS = 10_000;

/** Checks every field against what the jobs take and against the engine's profile. */
export function checkForm(form: GenerationForm, engine: EngineChoice | undefined, names: Names): CheckedForm {
  const problems: { [F in Field]?: Problem } = {};
  /** The field's value; 0 where it has a problem, which is then noted. */
  const use = (field: Field, checked: number | Problem): number => {
    if (typeof checked === "number") return checked;
    problems[field] = checked;
    return 0;
  };
  if (!engine) problems.engine = { text: "needsEngine", values: [] };
  else if (engine.problem !== undefined) problems.engine = { text: "cannotRun", values: [engine.problem] };
  const width = use("width", checkSide(form.width, engine?.width));
  const height = use("height", checkSide(form.height, engine?.height));
  const steps = use("steps", checkWhole(form.steps, { min: 1, max: MOST_STEPS }));
  const cfg = use("cfg", checkNumber(form.cfg, 0, Infinity));
  const cfgRescale = use("cfgRescale", checkNumber(form.cfgRescale, 0, 1));
  const batch = use("batch", checkWhole(form.batch, engine?.batch ?? { min: 1, max: Infinity }));
  const strength = use("strength", form.source === "" ? 1 : checkStrength(form.strength));
  if (!names.samplers.includes(form.sampler)) problems.sampler = { text: "unknownValue", values: [form.sampler] };
  if (!names.schedules.includes(form.schedule)) problems.schedule = { text: "unknownValue", values: [form.schedule] };
  const seed = form.seedMode === "random" ? undefined : form.seed.trim();
  if (seed !== undefined && !/^-?\d+$/.test(seed)) problems.seed = { text: "needsSeed", values: [] };
  if (form.source !== "" && engine?.takesImage === false) problems.source = { text: "takesNoImage", values: [engine.name] };
  const axes = form.isGrid ? checkAxes(form, names) : {};
  if (isProblem(axes.x)) problems.x = axes.x;
  if (isProblem(axes.y)) problems.y = axes.y;
  if (Object.keys(problems).length > 0 || !engine) return { problems };
  const { prompt, negative, sampler, schedule } = form;
  const values: JobValues = {
    engine: engine.path,
    prompt,
    negative,
    width,
    height,
    steps,
    cfg,
    cfgRescale,
    sampler,
    schedule,
    batch,
    strength,
    ...(seed !== undefined && { seed }),
    ...(form.source !== "" && { image: form.source }),
    ...(form.isGrid && { grid: { x: axes.x as AxisRequest, ...(axes.y && { y: axes.y as AxisRequest }) } }),
  };
  return { problems, values };
}

/** A side in pixels: what the engine is tuned for where it is left empty. */
function checkSide(text: string, range: Range | undefined): number | Problem {
  if (text.trim() === "") return range?.opt ?? 0;
  const value = parseNumber(text);
  if (value === undefined || !Number.isInteger(value)) return { text: "needsWhole", values: [] };
  if (range && range.min === range.max && value !== range.min) return { text: "onlyOne", values: [range.min] };
  if (range && (value < range.min || value > range.max)) return { text: "outOfRange", values: [range.min, range.max] };
  if (value <= 0 || value % PIXELS_PER_LATENT !== 0) {
    const lower = Math.max(PIXELS_PER_LATENT, Math.floor(value / PIXELS_PER_LATENT) * PIXELS_PER_LATENT);
    return { text: "notMultiple", values: [PIXELS_PER_LATENT, lower, lower + PIXELS_PER_LATENT] };
  }
  return value;
}

function checkWhole(text: string, { min, max }: { readonly min: number; readonly max: number }): number | Problem {
  const value = parseNumber(text);
  if (value === undefined || !Number.isInteger(value)) return { text: "needsWhole", values: [] };
  if (min === max && value !== min) return { text: "onlyOne", values: [min] };
  return value < min || value > max ? { text: "outOfRange", values: [min, max] } : value;
}

function checkNumber(text: string, min: number, max: number): number | Problem {
  const value = parseNumber(text);
  if (value === undefined || (max === Infinity && value < min)) return { text: "needsNumber", values: [] };
  return value < min || value > max ? { text: "outOfRange", values: [min, max] } : value;
}

/** How much of the picture is replaced: over 0 up to 1. */
function checkStrength(text: string): number | Problem {
  const value = parseNumber(text);
  return value === undefined || value <= 0 || value > 1 ? { text: "outOfRange", values: [0.01, 1] } : value;
}

/** A number with a point or, as some people write it, a comma. */
export function parseNumber(text: string): number | undefined {
  const value = Number(text.trim().replace(",", "."));
  return text.trim() === "" || !Number.isFinite(value) ? undefined : value;
}

interface Axes {
  readonly x?: AxisRequest | Problem;
  readonly y?: AxisRequest | Problem;
}

function checkAxes({ x, y }: GenerationForm, names: Names): Axes {
  const across = checkAxis(x, names) ?? ({ text: "needsValues", values: [] } satisfies Problem);
  const down = checkAxis(y, names);
  if (!down) return { x: across };
  const same = !isProblem(across) && !isProblem(down) && across.option === down.option && across.lora === down.lora;
  return { x: across, y: same ? { text: "sameAxes", values: [] } : down };
}

function isProblem(value: AxisRequest | Problem | undefined): value is Problem {
  return value !== undefined && "text" in value;
}

/** Options whose values are numbers within bounds; whole ones are counted. */
const NUMBERS: Readonly<Record<string, { readonly min: number; readonly max: number; readonly whole?: boolean }>> = {
  lora: { min: -Infinity, max: Infinity },
  steps: { min: 1, max: MOST_STEPS, whole: true },
  cfg: { min: 0, max: Infinity },
  cfgRescale: { min: 0, max: 1 },
  strength: { min: Number.MIN_VALUE, max: 1 },
};

/** The options that a direction of a grid can have, in the order of the list. */
export const AXIS_OPTIONS = [
  "lora",
  "cfg",
  "steps",
  "sampler",
  "schedule",
  "seed",
  "cfgRescale",
  "strength",
] as const satisfies readonly AxisRequest["option"][];

function checkAxis({ option, lora, values }: AxisForm, names: Names): AxisRequest | Problem | undefined {
  const known = AXIS_OPTIONS.find((each) => each === option);
  if (!known) return undefined;
  if (known === "lora" && lora === "") return { text: "needsLora", values: [] };
  const texts = values
    .split(/[,;]/)
    .map((text) => text.trim())
    .filter((text) => text !== "");
  if (texts.length === 0) return { text: "needsValues", values: [] };
  const bad = texts.find((text) => !fits(known, text, names));
  if (bad !== undefined) return { text: "unknownValue", values: [bad] };
  const isNumber = Object.hasOwn(NUMBERS, known);
  return { option: known, ...(known === "lora" && { lora }), values: isNumber ? texts.map(Number) : texts };
}

function fits(option: AxisRequest["option"], text: string, { samplers, schedules }: Names): boolean {
  if (option === "sampler") return samplers.includes(text);
  if (option === "schedule") return schedules.includes(text);
  if (option === "seed") return /^-?\d+$/.test(text);
  const { min, max, whole } = NUMBERS[option]!;
  const value = Number(text);
  return Number.isFinite(value) && value >= min && value <= max && (whole !== true || Number.isInteger(value));
}
