import { END_TOKEN, START_TOKEN, type ClipTokenizer } from "./clip-tokenizer.ts";
import { parsePrompt } from "./prompt.ts";

/** A word of this many tokens or more may be split between chunks (ComfyUI's `max_word_length`). */
const LONG_WORD = 8;

/** One run of a text encoder: the start token, up to 75 tokens of the prompt, the end token, padding. */
export interface PromptChunk {
  readonly ids: Int32Array;
  /** One weight a token; 1 for the start and end tokens and the padding. */
  readonly weights: Float32Array;
  /** Where the first end token stands; the pooled output is read there. */
  readonly endPosition: number;
}

export interface PromptPlan {
  readonly chunks: readonly PromptChunk[];
}

interface WeightedToken {
  readonly id: number;
  readonly weight: number;
}

/**
 * Splits a prompt into the chunks that a CLIP text encoder takes. Where a word does not fit in what is left of a chunk it
 * goes to the next one whole, unless it is 8 tokens or longer: then it is split where the chunk ends (ComfyUI's rule).
 * BREAK closes a chunk; one at the very end adds none. An empty prompt is one chunk.
 *
 * @param padToken fills a chunk up behind its end token: 49407 for CLIP-L, 0 for OpenCLIP.
 * @param length tokens a chunk, start and end included.
 */
export function encodePlan(prompt: string, tokenizer: ClipTokenizer, padToken: number, length = 77): PromptPlan {
  const room = length - 2;
  const filled: WeightedToken[][] = [];
  let current: WeightedToken[] = [];
  const close = () => {
    filled.push(current);
    current = [];
  };
  for (const part of parsePrompt(prompt)) {
    if (part.kind === "break") {
      close();
      continue;
    }
    for (const word of part.text.split(/\p{White_Space}+/u)) {
      let tokens: WeightedToken[] = tokenizer.encode(word).map((id) => ({ id, weight: part.weight }));
      const mayBeSplit = tokens.length >= Math.min(LONG_WORD, room + 1);
      while (current.length + tokens.length > room) {
        const fits = mayBeSplit ? room - current.length : 0;
        current.push(...tokens.slice(0, fits));
        tokens = tokens.slice(fits);
        close();
      }
      current.push(...tokens);
    }
  }
  if (current.length > 0 || filled.length === 0) close();
  return { chunks: filled.map((tokens) => chunkOf(tokens, padToken, length)) };
}

function chunkOf(tokens: readonly WeightedToken[], padToken: number, length: number): PromptChunk {
  const ids = new Int32Array(length).fill(padToken);
  const weights = new Float32Array(length).fill(1);
  ids[0] = START_TOKEN;
  tokens.forEach(({ id, weight }, index) => {
    ids[index + 1] = id;
    weights[index + 1] = weight;
  });
  ids[tokens.length + 1] = END_TOKEN;
  return { ids, weights, endPosition: ids.indexOf(END_TOKEN) };
}

/**
 * Weighs the hidden states of one chunk by ComfyUI's rule: z' = z_empty + weight·(z − z_empty), per token, where z_empty is
 * the empty prompt's hidden state at the same position. Where the weight is 1 the values stay bit for bit.
 *
 * @param hidden [tokens · width], in row-major order; left as it is.
 * @param emptyHidden as `hidden`, of the empty prompt.
 * @param weights one a token.
 */
export function applyEmphasis(hidden: Float32Array, emptyHidden: Float32Array, weights: Float32Array): Float32Array {
  const width = hidden.length / weights.length;
  const weighed = hidden.slice();
  weights.forEach((weight, token) => {
    if (weight === 1) return;
    for (let index = token * width; index < (token + 1) * width; index++) {
      const empty = emptyHidden[index]!;
      weighed[index] = Math.fround(Math.fround(hidden[index]! - empty) * weight) + empty;
    }
  });
  return weighed;
}
