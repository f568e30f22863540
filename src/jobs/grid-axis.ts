import { UserError } from "../formats/errors.ts";
import { setLoraScale } from "../pipeline/prompt.ts";
import { loraName } from "./lora-search.ts";
import type { GridAxis, GridOptions } from "./options.ts";

/** The options of a picture, not yet checked: an axis may set any value. */
export type CellOptions = Omit<GridOptions, "x" | "y">;

/** The options with one value of an axis put in. Throws "option.invalid" where the axis does not say which LoRA it means. */
export function applyAxis<Options extends CellOptions>(options: Options, { option, lora }: GridAxis, value: number | string): Options {
  if (option !== "lora") return { ...options, [option]: value };
  if (lora === undefined) throw new UserError("option.invalid", "An axis of a LoRA's scale has to name the LoRA: lora:FILE=0,0.5,1.");
  if (typeof value !== "number") throw new UserError("option.invalid", `The scale ${value} of ${lora} is not a number.`);
  const prompt = setLoraScale(options.prompt, lora, value);
  if (prompt !== undefined) return { ...options, prompt };
  const known = options.lora.some(({ file }) => file === lora);
  const others = known ? options.lora : [...options.lora, { file: lora, scale: value }];
  return { ...options, lora: others.map((each) => (each.file === lora ? { ...each, scale: value } : each)) };
}

const LABELS: Readonly<Record<Exclude<GridAxis["option"], "lora">, string>> = {
  steps: "steps",
  cfg: "CFG",
  cfgRescale: "CFG rescale",
  sampler: "sampler",
  schedule: "schedule",
  seed: "seed",
  strength: "strength",
};

/** What is drawn beside a row or a column: "ink 0.5", "CFG 7"; the names of samplers and schedules speak for themselves. */
export function axisLabel({ option, lora }: GridAxis, value: number | string): string {
  if (option === "sampler" || option === "schedule") return String(value);
  return `${option === "lora" ? loraName(lora ?? "") : LABELS[option]} ${value}`;
}
