import { UserError } from "../formats/errors.ts";
import { loadClipTokenizer } from "../pipeline/clip-tokenizer.ts";
import { encodePlan } from "../pipeline/prompt-chunks.ts";
import { extractLoras } from "../pipeline/prompt.ts";
import { openBundle } from "./engine-cache.ts";
import type { PromptDescription } from "./results.ts";

/** What a chunk's start and end tokens take away from the prompt. */
const FRAME = 2;

/**
 * How an engine's text encoder reads prompts: their tokens, the chunks these fill, and the LoRAs they name. A prompt that cannot be read
 * is described by its problem. Only the bundle's description is opened, no network.
 */
export async function describePrompts(engine: string, prompts: readonly string[]): Promise<PromptDescription[]> {
  const { bundle, configuration } = await openBundle(engine);
  const encoder = configuration.textEncoders[0];
  if (!encoder) throw new UserError("bundle.invalid", `The engine "${bundle.name}" has no text encoder, so it takes no prompt.`);
  const tokenizer = await loadClipTokenizer();
  const perChunk = encoder.tokens - FRAME;
  const longest = bundle.components.find(({ component }) => component === "unet")?.profile.context?.max;
  const limit = longest === undefined ? undefined : Math.floor(longest / encoder.tokens) * perChunk;
  return prompts.map((text) => {
    try {
      const { prompt, loras } = extractLoras(text);
      const { chunks } = encodePlan(prompt, tokenizer, encoder.padToken, encoder.tokens);
      const tokens = chunks.reduce((sum, { endPosition }) => sum + endPosition - 1, 0);
      return { tokens, room: chunks.length * perChunk, ...(limit !== undefined && { limit }), text: prompt, loras };
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return { tokens: 0, room: perChunk, text, loras: [], problem: error.message };
    }
  });
}
