import type { Outputs } from "../engines/engine.ts";
import { UserError } from "../formats/errors.ts";
import type { Tensor } from "../formats/tensor.ts";
import { ARCHITECTURE_LABEL, type Architecture } from "../models/architecture.ts";
import type { TextEncoderConfiguration } from "../models/configuration.ts";
import { loadClipTokenizer, type ClipTokenizer } from "./clip-tokenizer.ts";
import { applyEmphasis, encodePlan, type PromptChunk } from "./prompt-chunks.ts";

/** A CLIP text encoder that can be run. */
export interface LoadedTextEncoder {
  readonly configuration: TextEncoderConfiguration;
  /**
   * Inputs `input_ids` [B, tokens] and `end_positions` [B]; outputs `last_hidden_state`, `penultimate_hidden_state` and
   * `penultimate_normalized` [B, tokens, width], and `pooled` [B, projection width] where the encoder has a projection.
   */
  run(inputIds: Tensor<Int32Array>, endPositions: Tensor<Int32Array>): Promise<Outputs>;
}

export interface Prompts {
  /** One prompt for all images, or one an image. LoRA references are already taken out (`extractLoras`). */
  readonly positive: string | readonly string[];
  /** As `positive`; left out where there is no classifier-free guidance. */
  readonly negative?: string | readonly string[];
  /** How many images. */
  readonly batch: number;
}

/** What the UNet takes from the prompts. The rows of the negative prompts come first, as diffusers orders them. */
export interface TextConditioning {
  /** [rows, tokens · chunks, width], rows being `batch`, or twice that with negative prompts. */
  readonly context: Tensor;
  /** [rows, projection width]; undefined for the architectures that take no pooled text (SD1.x, SD2.x). */
  readonly pooled: Tensor | undefined;
  /** How many of the rows belong to negative prompts. */
  readonly negativeRows: number;
}

const HIDDEN_STATE_OUTPUT = {
  last: "last_hidden_state",
  penultimate: "penultimate_hidden_state",
  penultimate_normalized: "penultimate_normalized",
} as const satisfies Record<TextEncoderConfiguration["hiddenState"], string>;

interface EncodedPrompt {
  readonly hidden: Float32Array;
  readonly pooled: Float32Array | undefined;
}

/**
 * Encodes prompts for the UNet family. Each encoder's chunks follow one another along the tokens, the encoders' widths are
 * joined (SDXL: CLIP-L, then OpenCLIP bigG). All prompts get the length of the longest by adding chunks of the empty prompt,
 * as the WebUI does. Emphasis is applied to the hidden states (`applyEmphasis`); the pooled text is that of the first chunk
 * of the last encoder, unweighted, as ComfyUI takes it.
 */
export async function encodePrompts(
  prompts: Prompts,
  encoders: readonly LoadedTextEncoder[],
  architecture: Architecture,
): Promise<TextConditioning> {
  const takesPooled = architecture === "sdxl" || architecture === "sdxl-refiner";
  requireEncoders(encoders, architecture);
  const negatives = prompts.negative === undefined ? [] : onePerImage(prompts.negative, prompts.batch, "negative prompts");
  const texts = [...negatives, ...onePerImage(prompts.positive, prompts.batch, "prompts")];
  const tokenizer = await loadClipTokenizer();
  const perEncoder: EncodedPrompt[][] = [];
  for (const encoder of encoders) perEncoder.push(await encodeTexts(texts, encoder, tokenizer));
  const pooled = takesPooled ? stackRows(perEncoder.at(-1)!.map((row) => required(row.pooled, "pooled"))) : undefined;
  return { context: joinWidths(perEncoder, encoders), pooled, negativeRows: negatives.length };
}

function requireEncoders(encoders: readonly LoadedTextEncoder[], architecture: Architecture): void {
  const needed = architecture === "sdxl" ? 2 : 1;
  if (encoders.length === needed) return;
  const found = encoders.map((encoder) => encoder.configuration.component).join(" and ") || "none";
  throw new UserError(
    "bundle.invalid",
    `${ARCHITECTURE_LABEL[architecture]} needs ${needed} text encoder${needed === 1 ? "" : "s"} and the engine bundle has ${found}: export it again with all components.`,
  );
}

function onePerImage(texts: string | readonly string[], batch: number, what: string): readonly string[] {
  if (typeof texts === "string") return Array.from({ length: batch }, () => texts);
  if (texts.length === batch) return texts;
  throw new UserError("option.invalid", `There are ${texts.length} ${what} for ${batch} images: give one, or one an image.`);
}

async function encodeTexts(texts: readonly string[], encoder: LoadedTextEncoder, tokenizer: ClipTokenizer): Promise<EncodedPrompt[]> {
  const { padToken, tokens } = encoder.configuration;
  const emptyChunk = encodePlan("", tokenizer, padToken, tokens).chunks[0]!;
  const plans = texts.map((text) => encodePlan(text, tokenizer, padToken, tokens).chunks);
  const longest = Math.max(...plans.map((chunks) => chunks.length));
  const encodeChunk = chunkEncoder(encoder);
  const rows: EncodedPrompt[] = [];
  for (const chunks of plans) {
    const padded = [...chunks, ...Array.from({ length: longest - chunks.length }, () => emptyChunk)];
    const encoded: EncodedPrompt[] = [];
    for (const chunk of padded) {
      const plain = await encodeChunk(chunk);
      const weighted = chunk.weights.some((weight) => weight !== 1);
      const hidden = weighted ? applyEmphasis(plain.hidden, (await encodeChunk(emptyChunk)).hidden, chunk.weights) : plain.hidden;
      encoded.push({ hidden, pooled: plain.pooled });
    }
    rows.push({ hidden: concatenate(encoded.map((chunk) => chunk.hidden)), pooled: encoded[0]!.pooled });
  }
  return rows;
}

/**
 * Runs an encoder on one chunk at a time, each distinct chunk once. One at a time, so that a prompt's numbers do not depend
 * on which other prompts it is encoded with.
 */
function chunkEncoder(encoder: LoadedTextEncoder): (chunk: PromptChunk) => Promise<EncodedPrompt> {
  const { hiddenState, width, tokens } = encoder.configuration;
  const known = new Map<string, Promise<EncodedPrompt>>();
  const run = async (chunk: PromptChunk): Promise<EncodedPrompt> => {
    const outputs = await encoder.run({ dims: [1, tokens], data: chunk.ids }, { dims: [1], data: Int32Array.of(chunk.endPosition) });
    const name = HIDDEN_STATE_OUTPUT[hiddenState];
    const hidden = required(outputs[name]?.data, name);
    if (hidden.length !== tokens * width) {
      throw new UserError(
        "engine.unusable",
        `The text encoder's ${name} has ${hidden.length} values, not ${tokens}·${width}: export the engine again.`,
      );
    }
    return { hidden, pooled: outputs["pooled"]?.data };
  };
  return (chunk) => {
    const key = chunk.ids.join();
    const result = known.get(key) ?? run(chunk);
    known.set(key, result);
    return result;
  };
}

function required(data: Float32Array | undefined, output: string): Float32Array {
  if (data === undefined) throw new UserError("engine.unusable", `The text encoder has no output "${output}": export the engine again.`);
  return data;
}

/** Joins the encoders' hidden states [tokens, width] of each row along the width. */
function joinWidths(perEncoder: readonly (readonly EncodedPrompt[])[], encoders: readonly LoadedTextEncoder[]): Tensor {
  const widths = encoders.map((encoder) => encoder.configuration.width);
  const fullWidth = widths.reduce((sum, width) => sum + width, 0);
  const rows = perEncoder[0]!.length;
  const tokens = perEncoder[0]![0]!.hidden.length / widths[0]!;
  const data = new Float32Array(rows * tokens * fullWidth);
  let column = 0;
  perEncoder.forEach((encoded, encoder) => {
    const width = widths[encoder]!;
    encoded.forEach(({ hidden }, row) => {
      for (let token = 0; token < tokens; token++) {
        data.set(hidden.subarray(token * width, (token + 1) * width), (row * tokens + token) * fullWidth + column);
      }
    });
    column += width;
  });
  return { dims: [rows, tokens, fullWidth], data };
}

function stackRows(rows: readonly Float32Array[]): Tensor {
  return { dims: [rows.length, rows[0]!.length], data: concatenate(rows) };
}

function concatenate(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
