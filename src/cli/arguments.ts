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

/** One more "file.safetensors:0.7"; see `parseLoraArgument`. */
export function parseLora(text: string, previous: readonly LoraArgument[]): LoraArgument[] {
  return [...previous, parseLoraArgument(text)];
}
