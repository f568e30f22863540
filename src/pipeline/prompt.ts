import { UserError } from "../formats/errors.ts";

/** What one pair of round brackets multiplies a weight by; square brackets divide by it. */
const EMPHASIS = 1.1;
/** Beyond this a weight leaves float32's range or vanishes; a prompt nested deeper is a mistake. */
const DEEPEST_NESTING = 256;

/** A stretch of prompt with one weight, or the place where BREAK asks for a new chunk. */
export type PromptPart = { readonly kind: "text"; readonly text: string; readonly weight: number } | { readonly kind: "break" };

/** A `<lora:NAME:SCALE:TE:lbw=WEIGHTS>` in a prompt; what was not given is not there. */
export interface PromptLora {
  readonly name: string;
  readonly scale: number;
  readonly textEncoderScale?: number | undefined;
  /** Block weights as they are written, see src/lora/block-weights.ts. */
  readonly blockWeights?: string | undefined;
}

const LORA = /<lora:([^<>]*)>/gi;

/**
 * Takes the LoRAs out of a prompt: `<lora:NAME>` (scale 1), `<lora:NAME:SCALE>` or `<lora:NAME:SCALE:TE>`, TE being the scale
 * on the text encoders where it differs; `:lbw=WEIGHTS` may stand behind any of them. Other text in angle brackets stays. Throws `option.invalid` for a reference that
 * has no name or whose scale is not a number.
 */
export function extractLoras(prompt: string): { readonly prompt: string; readonly loras: readonly PromptLora[] } {
  const loras: PromptLora[] = [];
  const rest = prompt.replace(LORA, (reference, body: string) => {
    loras.push(parseLora(reference, body));
    return "";
  });
  return { prompt: rest, loras };
}

/**
 * The prompt with another scale in its reference to the LoRA of that name; undefined where it has none. A scale of its own on the text encoders
 * and block weights stay.
 */
export function setLoraScale(prompt: string, name: string, scale: number): string | undefined {
  let found = false;
  const changed = prompt.replace(LORA, (reference, body: string) => {
    const lora = parseLora(reference, body);
    if (lora.name !== name) return reference;
    found = true;
    return loraReference({ ...lora, scale });
  });
  return found ? changed : undefined;
}

/** As a prompt refers to a LoRA. */
export function loraReference({ name, scale, textEncoderScale, blockWeights }: PromptLora): string {
  const textEncoders = textEncoderScale === undefined ? "" : `:${textEncoderScale}`;
  return `<lora:${name}:${scale}${textEncoders}${blockWeights === undefined ? "" : `:lbw=${blockWeights}`}>`;
}

function parseLora(reference: string, body: string): PromptLora {
  const fields = body.split(":").map((field) => field.trim());
  const blockWeights = fields.find((field) => field.startsWith("lbw="))?.slice("lbw=".length);
  const [name = "", ...numbers] = fields.filter((field) => !field.startsWith("lbw="));
  const [scale = 1, textEncoderScale] = numbers.map((text) => (/^[+-]?(\d+\.?\d*|\.\d+)$/.test(text) ? Number(text) : NaN));
  if (name === "" || numbers.length > 2 || !Number.isFinite(scale) || !Number.isFinite(textEncoderScale ?? 0)) {
    throw new UserError("option.invalid", `"${reference}" in the prompt is not a LoRA reference: write <lora:NAME:0.8>.`);
  }
  return {
    name,
    scale,
    ...(textEncoderScale === undefined ? {} : { textEncoderScale }),
    ...(blockWeights === undefined ? {} : { blockWeights }),
  };
}

interface Stretch {
  readonly text: string;
  /** Stretches before and after a BREAK are never joined. */
  readonly isBreak: boolean;
  weight: number;
}

/*
 * The pieces of a prompt: a backslash, with the bracket or backslash that it makes plain text; a weight with the bracket that
 * it closes; one special character; plain text.
 */
const PIECE = /\\[()[\]\\]?|:\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*\)|[()[\]:]|[^\\()[\]:]+/g;
const BREAK = /\s*(?<![\p{L}\p{N}_])BREAK(?![\p{L}\p{N}_])\s*/u;

/**
 * Reads the weights of a prompt as the WebUI family writes them. `(a)` is a at 1.1, `[a]` at 1/1.1, `(a:1.3)` at 1.3, and
 * brackets inside brackets multiply. `\(`, `\)`, `\[`, `\]` and `\\` stand for the character alone; a backslash before
 * anything else is dropped. `BREAK`, a word of its own, asks for a new chunk, in brackets too.
 *
 * Nothing is a mistake but nesting over 256 deep: a bracket never closed reaches to the end of the prompt; a closing bracket
 * with nothing open, a weight with no round bracket open and a weight that is not a number are plain text. Round and
 * square brackets are counted apart, so that `(a [b) c]` weighs a by 1.1, b by 1 and c by 1/1.1.
 *
 * Neighbours of one weight come back as one part, so that `(photo)(graph)` is one word; empty parts are left out.
 */
export function parsePrompt(prompt: string): readonly PromptPart[] {
  const stretches: Stretch[] = [];
  const round: number[] = [];
  const square: number[] = [];
  const multiply = (from: number, factor: number) => {
    for (let index = from; index < stretches.length; index++) stretches[index]!.weight *= factor;
  };
  for (const match of prompt.matchAll(PIECE)) {
    const [piece, weight] = match;
    if (piece.startsWith("\\")) stretches.push({ text: piece.slice(1), isBreak: false, weight: 1 });
    else if (piece === "(") round.push(stretches.length);
    else if (piece === "[") square.push(stretches.length);
    else if (weight !== undefined && round.length > 0) multiply(round.pop()!, Number(weight));
    else if (piece === ")" && round.length > 0) multiply(round.pop()!, EMPHASIS);
    else if (piece === "]" && square.length > 0) multiply(square.pop()!, 1 / EMPHASIS);
    else stretches.push(...plainText(piece));
    if (round.length > DEEPEST_NESTING || square.length > DEEPEST_NESTING) {
      throw new UserError(
        "option.invalid",
        `Brackets in the prompt are nested over ${DEEPEST_NESTING} deep: close some, or escape them as \\(.`,
      );
    }
  }
  for (const from of round) multiply(from, EMPHASIS);
  for (const from of square) multiply(from, 1 / EMPHASIS);
  return joinNeighbours(stretches);
}

function plainText(piece: string): Stretch[] {
  return piece.split(BREAK).flatMap((text, index) => {
    const stretch: Stretch = { text, isBreak: false, weight: 1 };
    return index === 0 ? [stretch] : [{ text: "", isBreak: true, weight: 1 }, stretch];
  });
}

function joinNeighbours(stretches: readonly Stretch[]): PromptPart[] {
  const parts: PromptPart[] = [];
  for (const { text, isBreak, weight } of stretches) {
    const last = parts.at(-1);
    if (isBreak) parts.push({ kind: "break" });
    else if (text === "") continue;
    else if (last?.kind === "text" && last.weight === weight) parts[parts.length - 1] = { kind: "text", text: last.text + text, weight };
    else parts.push({ kind: "text", text, weight });
  }
  const tooHeavy = parts.find((part) => part.kind === "text" && !Number.isFinite(Math.fround(part.weight)));
  if (tooHeavy?.kind === "text") {
    throw new UserError("option.invalid", `The weight of "${tooHeavy.text.trim()}" in the prompt is too large: use less emphasis.`);
  }
  return parts;
}
