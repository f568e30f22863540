import type { StackEntry } from "./delta.ts";
import { blockOf, parseBlockWeights } from "./block-weights.ts";

/** How strongly a LoRA is applied: on the UNet, on the text encoders where that differs, and to each block. */
export interface LoraStrengths {
  readonly scale: number;
  readonly textEncoderScale?: number | undefined;
  /** As the WebUI's LoRA Block Weight writes them, see `parseBlockWeights`. */
  readonly blockWeights?: string | undefined;
}

/**
 * A stack entry's scales. One scale for all stays one number, so that the same LoRA twice is one term.
 * Throws "option.invalid" for block weights that are none.
 */
export function stackScales({ scale, textEncoderScale, blockWeights }: LoraStrengths): Pick<StackEntry, "scale" | "weightScale"> {
  if (textEncoderScale === undefined && blockWeights === undefined) return { scale };
  const blocks = blockWeights === undefined ? undefined : parseBlockWeights(blockWeights);
  const weightScale = (name: string): number => {
    const block = blockOf(name);
    const own = block === "BASE" ? (textEncoderScale ?? scale) : scale;
    return own * (block === undefined ? 1 : (blocks?.get(block) ?? 1));
  };
  return { scale: 1, weightScale };
}

/** A LoRA's file and strengths, as one text. */
export interface LoraArgument extends LoraStrengths {
  readonly file: string;
}

const NUMBER = String.raw`[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?`;

/**
 * "file:0.7", "file:0.7:0.3" (UNet, text encoders), either with ":lbw=…" behind. A colon that neither a number nor "lbw=" follows belongs
 * to the path ("C:\\loras\\ink").
 */
export function parseLoraArgument(text: string): LoraArgument {
  const match = new RegExp(`^(.+?)(?::(${NUMBER}))?(?::(${NUMBER}))?(?::lbw=(.*))?$`, "is").exec(text);
  if (!match) return { file: text, scale: 1 };
  const [, file, scale, textEncoderScale, blockWeights] = match;
  return {
    file: file!,
    scale: scale === undefined ? 1 : Number(scale),
    ...(textEncoderScale === undefined ? {} : { textEncoderScale: Number(textEncoderScale) }),
    ...(blockWeights === undefined ? {} : { blockWeights }),
  };
}
