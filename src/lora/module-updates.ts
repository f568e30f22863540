import { isNumericDtype } from "../formats/numbers.ts";
import type { TensorEntry } from "../formats/safetensors.ts";
import type { AdapterSettings } from "./adapter-configuration.ts";
import type { FactorShapes } from "./factors.ts";
import { kindLabel, kindOf } from "./kinds/kinds.ts";
import { lowRankUpdate } from "./low-rank.ts";
import type { FactoredUpdate, LoraUpdate } from "./update.ts";

/** What a file holds for one module, and what is known about it from elsewhere. */
export interface ModuleContents {
  readonly module: string;
  /** Published factor name -> tensor. */
  readonly factors: ReadonlyMap<string, TensorEntry>;
  readonly settings: AdapterSettings;
  /** The file's own alpha; NaN where it is not a number. */
  readonly alpha?: number;
  /** `on_input`, of LyCORIS' (IA)³. */
  readonly onInput?: number;
  /** True for OFT of kohya's script, where alpha 0 means that nothing may turn. */
  readonly isKohyaOft: boolean;
}

export interface ModuleUpdates {
  readonly updates: readonly LoraUpdate[];
  /** Why what is left is no update that can be applied. */
  readonly problems: readonly string[];
}

const FLOAT_DTYPE = /^(?:F|BF)\d/;

/** Changes that are their own tensor: factor -> which of the module's weights it changes. */
const DENSE: ReadonlyMap<string, "weight" | "bias"> = new Map([
  ["diff", "weight"],
  ["diff_b", "bias"],
  ["w_norm", "weight"],
  ["b_norm", "bias"],
  ["lora_bias", "bias"],
]);

/** Factors that say how others are meant, and are no update alone. */
const MODIFIERS: ReadonlySet<string> = new Set(["alpha", "on_input"]);

/** The updates that the tensors of one module make. */
export function moduleUpdates(contents: ModuleContents): ModuleUpdates {
  const { module, factors } = contents;
  const unfit = Array.from(factors.values()).find(({ dtype }) => !isNumericDtype(dtype) || !FLOAT_DTYPE.test(dtype));
  if (unfit) return { updates: [], problems: [`"${unfit.name}" has dtype ${unfit.dtype}, not a floating-point one`] };
  if (Array.from(factors.values()).some(({ length }) => length === 0)) return { updates: [], problems: ["its factors are empty"] };
  if (Number.isNaN(contents.alpha)) return { updates: [], problems: ["its alpha is NaN"] };
  const updates: LoraUpdate[] = [];
  const problems: string[] = [];
  const rest = new Map<string, TensorEntry>();
  for (const [name, values] of factors) {
    const target = DENSE.get(name);
    if (target === undefined) rest.set(name, values);
    else updates.push(denseUpdate(contents, name, values, target));
  }
  if (Array.from(rest.keys()).some((name) => !MODIFIERS.has(name))) {
    const update = isPlainLora(rest) ? plainUpdate(contents, rest) : factoredUpdate(contents, rest);
    if (typeof update === "string") problems.push(update);
    else updates.push(...update);
  }
  if (updates.length === 0 && problems.length === 0) problems.push("it has an alpha but no factors");
  return { updates: updates.map((update) => ({ ...update, module })), problems };
}

function denseUpdate(
  { module, alpha, settings }: ModuleContents,
  name: string,
  values: TensorEntry,
  target: "weight" | "bias",
): LoraUpdate {
  const inputs = target === "weight" ? values.shape[1] : undefined;
  const label = name === "w_norm" || name === "b_norm" ? "norm" : name === "lora_bias" ? "LoRA" : name;
  const scale = name === "lora_bias" ? peftScale(settings, alpha) : 1;
  return { kind: "dense", module, target, label, rank: 0, values, scale, ...(inputs === undefined ? {} : { inputs }) };
}

/** PEFT scales the bias of lora_B as it does its weight. */
function peftScale({ alpha: configured, rank, rankStabilized }: AdapterSettings, own: number | undefined): number {
  const alpha = own ?? configured;
  if (alpha === undefined || rank === undefined) return 1;
  return alpha / (rankStabilized ? Math.sqrt(rank) : rank);
}

function isPlainLora(factors: ReadonlyMap<string, TensorEntry>): boolean {
  return Array.from(factors.keys()).every((name) => name === "lora_up" || name === "lora_down" || MODIFIERS.has(name));
}

function plainUpdate({ module, alpha, settings }: ModuleContents, factors: ReadonlyMap<string, TensorEntry>): LoraUpdate[] | string {
  const own = alpha ?? settings.alpha;
  const scaling = { rankStabilized: settings.rankStabilized, ...(own === undefined ? {} : { alpha: own }) };
  const update = lowRankUpdate(module, { up: factors.get("lora_up"), down: factors.get("lora_down"), ...scaling });
  return typeof update === "string" ? update : [update];
}

function factoredUpdate(contents: ModuleContents, found: ReadonlyMap<string, TensorEntry>): LoraUpdate[] | string {
  const { module, settings, isKohyaOft } = contents;
  const oldPeft = oldPeftOft(found);
  if (typeof oldPeft === "string") return oldPeft;
  const factors = new Map([...oldPeft].filter(([name]) => !MODIFIERS.has(name)));
  const numbers = new Map<string, number>();
  if (contents.onInput !== undefined) numbers.set("on_input", contents.onInput);
  const shapes = shapesOf(factors, numbers);
  const kind = kindOf(shapes);
  if (typeof kind === "string") return half(factors) ?? kind;
  const strange = Array.from(factors.keys()).find((name) => !belongs(name, kind));
  if (strange !== undefined) return `${kind.label} has no "${strange}"`;
  const problem = kind.check(shapes);
  if (problem !== undefined) return problem;
  const rank = kind.rank(shapes);
  const own = contents.alpha ?? settings.alpha;
  if (own !== undefined && !Number.isFinite(own)) return `its alpha is ${own}`;
  if (rank > 0) {
    const alpha = effectiveAlpha(contents, own, rank, factors);
    if (alpha !== undefined) numbers.set("alpha", alpha);
  } else if (factors.has("oft_blocks") && contents.alpha !== undefined) {
    if (isKohyaOft && contents.alpha <= 0) return "its alpha is 0, which lets nothing turn";
    numbers.set("alpha", contents.alpha);
  }
  if (factors.has("oft_R")) {
    numbers.set("cayley_neumann_terms", settings.cayleyNeumannTerms ?? 0);
    if (settings.coftEps !== undefined) numbers.set("coft_eps", settings.coftEps);
  }
  if (factors.has("ia3_l") && settings.feedforward !== undefined) numbers.set("on_input", settings.feedforward ? 1 : 0);
  const inputs = kind.inputs?.(shapes);
  const common = { module, label: kindLabel(kind, shapes), rank, ...(inputs === undefined ? {} : { inputs }) };
  const update: FactoredUpdate = {
    ...common,
    kind: "factored",
    target: "weight",
    is: kind,
    factors,
    numbers,
    ...(own === undefined ? {} : { alpha: own }),
  };
  // PEFT's (IA)³ scales what the module gives, its bias too.
  const scalesBias = factors.has("ia3_l") && numbers.get("on_input") !== 1;
  return scalesBias ? [update, { ...update, target: "bias", numbers: new Map([["on_input", 0]]) }] : [update];
}

/** The alpha by which alpha / rank is the scale, whatever the trainer makes of it; undefined for a scale of 1. */
function effectiveAlpha(
  { settings }: ModuleContents,
  alpha: number | undefined,
  rank: number,
  factors: ReadonlyMap<string, TensorEntry>,
): number | undefined {
  if (alpha === undefined) return undefined;
  // LyCORIS takes no scale where both factors are whole; PEFT always divides by its configuration's rank.
  const isWhole = factors.has("lokr_w1") && factors.has("lokr_w2");
  if (isWhole) return settings.rank === undefined ? undefined : (alpha / settings.rank) * rank;
  return settings.rankStabilized ? alpha * Math.sqrt(rank) : alpha;
}

/** OFT of PEFT before 0.15 is BOFT with one stage; before 0.14 it had no oft_s and another arithmetic. */
function oldPeftOft(factors: ReadonlyMap<string, TensorEntry>): ReadonlyMap<string, TensorEntry> | string {
  const [blocks, scales] = [factors.get("oft_r"), factors.get("oft_s")];
  if (!blocks) return factors;
  if (!scales || blocks.shape.length !== 3) return "OFT of this version of PEFT (before 0.14) is not supported: save it with a newer one";
  return new Map([
    ["boft_R", { ...blocks, shape: [1, ...blocks.shape] }],
    ["boft_s", scales],
  ]);
}

function half(factors: ReadonlyMap<string, TensorEntry>): string | undefined {
  if (factors.has("bias_values") || factors.has("bias_indices"))
    return "a sparse bias (LyCORIS' extraction) is not supported: extract without it";
  const [up, down] = [factors.has("lora_up"), factors.has("lora_down")];
  if (up !== down) return up ? "it has an up factor but no down factor" : "it has no up factor";
  return undefined;
}

function belongs(name: string, kind: FactoredUpdate["is"]): boolean {
  return kind.required.some((names) => names.includes(name)) || (kind.optional ?? []).includes(name) || isMagnitude(name);
}

function isMagnitude(name: string): boolean {
  return name === "dora_scale" || name === "lora_magnitude_vector";
}

function shapesOf(factors: ReadonlyMap<string, TensorEntry>, numbers: ReadonlyMap<string, number>): FactorShapes {
  const shapes = new Map<string, readonly number[]>(Array.from(factors, ([name, { shape }]) => [name, shape]));
  for (const name of numbers.keys()) shapes.set(name, []);
  return shapes;
}
