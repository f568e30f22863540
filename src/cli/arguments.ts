import { InvalidArgumentError } from "commander";
import { parseLoraArgument, type LoraArgument } from "../lora/strengths.ts";

/** "1,77,154" -> [1, 77, 154]; the schema checks the order. */
export function parseRange(text: string): number[] {
  const values = text.split(",").map((part) => parseInteger(part.trim()));
  if (values.length !== 3) throw new InvalidArgumentError("Expected min,opt,max, such as 832,1024,1920.");
  return values;
}

export function parseInteger(text: string): number {
  if (!/^-?\d+$/.test(text)) throw new InvalidArgumentError("Expected a whole number.");
  return Number(text);
}

export function parseNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("Expected a number.");
  return value;
}

/** Seeds have 64 bits, more than a number holds: kept as text. */
export function parseSeed(text: string): string {
  if (!/^-?\d+$/.test(text)) throw new InvalidArgumentError("Expected a whole number.");
  return text;
}

export function parseList(text: string): string[] {
  return text
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
}

/** The axes' options that take names; the others take numbers, seeds as text. */
const NAMES: ReadonlySet<string> = new Set(["sampler", "schedule", "seed"]);

/** "cfg=4,7,10", "sampler=euler,ddim", "lora:ink.safetensors=0,0.5,1"; the schema checks the option and the values. */
export function parseAxis(text: string): { option: string; lora?: string; values: (string | number)[] } {
  const equals = text.lastIndexOf("=");
  if (equals <= 0) throw new InvalidArgumentError("Expected option=value,value,…, such as cfg=4,7,10 or lora:ink.safetensors=0,0.5,1.");
  const [, option, lora] = /^([^:]*)(?::(.*))?$/s.exec(text.slice(0, equals))!;
  const name = option!.replaceAll(/-([a-z])/g, (_match, letter: string) => letter.toUpperCase());
  const values = parseList(text.slice(equals + 1)).map((value) => (NAMES.has(name) ? value : parseNumber(value)));
  return { option: name, ...(lora !== undefined && { lora }), values };
}

/** One more "file.safetensors:0.7"; see `parseLoraArgument`. */
export function parseLora(text: string, previous: readonly LoraArgument[]): LoraArgument[] {
  return [...previous, parseLoraArgument(text)];
}
