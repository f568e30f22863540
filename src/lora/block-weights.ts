import { UserError } from "../formats/errors.ts";

/** The blocks of the WebUI's LoRA Block Weight (https://github.com/hako-mikan/sd-webui-lora-block-weight), in its order of 26. */
const BLOCKS: readonly string[] = ["BASE", ...numbered("IN", 12), "M00", ...numbered("OUT", 12)];

/** How many values there are -> the blocks that they are for: LoRAs of SDXL and of SD1/SD2, then LyCORIS of SDXL and of SD1/SD2. */
const LAYOUTS: ReadonlyMap<number, readonly string[]> = new Map([
  [12, ["BASE", "IN04", "IN05", "IN07", "IN08", "M00", ...numbered("OUT", 6)]],
  [17, BLOCKS.filter((block) => !["IN00", "IN03", "IN06", "IN09", "IN10", "IN11", "OUT00", "OUT01", "OUT02"].includes(block))],
  [20, ["BASE", ...numbered("IN", 9), "M00", ...numbered("OUT", 9)]],
  [26, BLOCKS],
]);

/** The presets that the WebUI's script comes with, as it writes them. */
const PRESETS: ReadonlyMap<string, readonly number[]> = new Map([
  ["NONE", Array<number>(26).fill(0)],
  ["ALL", Array<number>(26).fill(1)],
  ["ALL0.5", Array<number>(26).fill(0.5)],
  ["INS", [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
  ["IND", [1, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
  ["INALL", [1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
  ["MIDD", [1, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0]],
  ["OUTD", [1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0]],
  ["OUTS", [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1]],
  ["OUTALL", [1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1]],
]);

/** A factor for each block: "IN04" -> 0.5. */
export type BlockWeights = ReadonlyMap<string, number>;

/**
 * Reads block weights as the WebUI's script writes them: 12, 17, 20 or 26 numbers with commas, or a preset's name (case matters there
 * too). A block that has no number gets 0. ALL, NONE and ALL0.5 are for every block, whatever the model. Throws "option.invalid".
 */
export function parseBlockWeights(text: string): BlockWeights {
  const values = PRESETS.get(text.trim()) ?? text.split(",").map((part) => toNumber(part.trim()));
  const layout = LAYOUTS.get(values.length);
  if (!layout || values.some(Number.isNaN)) {
    throw new UserError(
      "option.invalid",
      `"${text.slice(0, 200)}" are no block weights: give 12, 17, 20 or 26 numbers with commas, or one of ${[...PRESETS.keys()].join(", ")}.`,
    );
  }
  const given = new Map(layout.map((block, index) => [block, values[index]!]));
  return new Map(BLOCKS.map((block) => [block, given.get(block) ?? 0]));
}

function toNumber(text: string): number {
  return /^[+-]?(?:\d+\.?\d*|\.\d+)$/.test(text) ? Number(text) : NaN;
}

/**
 * The block that a weight, by its single-file name, is in: text encoders are BASE. Undefined for what stands outside of the UNet's
 * blocks (its time embedding, its last layers), which the WebUI leaves alone.
 */
export function blockOf(name: string): string | undefined {
  const match = /^model\.diffusion_model\.(?:(input|output)_blocks\.(\d+)|(middle)_block)\./.exec(name);
  if (!match) return name.startsWith("model.diffusion_model.") ? undefined : "BASE";
  if (match[3] !== undefined) return "M00";
  return `${match[1] === "input" ? "IN" : "OUT"}${match[2]!.padStart(2, "0")}`;
}

function numbered(start: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => start + String(index).padStart(2, "0"));
}
