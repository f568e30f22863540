import type { EngineChoice, LoraChoice } from "../protocol.ts";

/** What is being typed at the cursor of a prompt: the beginning of a LoRA's name behind `<lora:`. */
export interface TagStart {
  /** Where the `<` stands. */
  readonly from: number;
  readonly name: string;
}

const MOST_SHOWN = 50;
/** Behind all that fit. */
const FOREIGN = 10;

/** The reference that the cursor stands in, where its name is not finished: `<l` begins one, a `<` alone may mean anything. */
export function tagAt(text: string, cursor: number): TagStart | undefined {
  const from = text.lastIndexOf("<", cursor - 1);
  if (from < 0) return undefined;
  const typed = text.slice(from, cursor);
  if (typed.length > 1 && "<lora:".startsWith(typed.toLowerCase())) return { from, name: "" };
  const [, name] = /^<lora:([^<>:\n]*)$/i.exec(typed) ?? [];
  return name === undefined ? undefined : { from, name };
}

/**
 * The LoRAs that fit what was typed, best first: those of the engine's architecture, names that begin with it, that have a word that
 * begins with it, that hold it, that hold its letters in order.
 */
export function complete(
  loras: readonly LoraChoice[],
  typed: string,
  engine: Pick<EngineChoice, "architecture" | "fingerprint"> | undefined,
): LoraChoice[] {
  const wanted = typed.toLowerCase();
  const ranked = loras.flatMap((lora) => {
    const rank = rankOf(lora.name.toLowerCase(), wanted);
    return rank === undefined ? [] : [{ lora, rank: rank + (isForeign(lora, engine) ? FOREIGN : 0) }];
  });
  ranked.sort((a, b) => a.rank - b.rank || a.lora.name.localeCompare(b.lora.name));
  return ranked.slice(0, MOST_SHOWN).map(({ lora }) => lora);
}

/** Made for another architecture, or, of a delta, for another checkpoint. */
function isForeign(lora: LoraChoice, engine: Pick<EngineChoice, "architecture" | "fingerprint"> | undefined): boolean {
  const differs = (key: "architecture" | "fingerprint"): boolean =>
    engine?.[key] !== undefined && lora[key] !== undefined && engine[key] !== lora[key];
  return differs("architecture") || differs("fingerprint");
}

function rankOf(name: string, wanted: string): number | undefined {
  if (name.startsWith(wanted)) return 0;
  const at = name.indexOf(wanted);
  if (at > 0) return /[\p{L}\p{N}]/u.test(name[at - 1]!) ? 2 : 1;
  let place = 0;
  for (const letter of wanted) {
    place = name.indexOf(letter, place) + 1;
    if (place === 0) return undefined;
  }
  return 3;
}

/** Text and selection of a prompt. */
export interface Edited {
  readonly text: string;
  /** The scale is selected, so that it can be typed over. */
  readonly selection: readonly [start: number, end: number];
}

/** Puts a chosen LoRA in the place of what was typed; a scale that follows already stays. */
export function insertTag(text: string, { from }: TagStart, cursor: number, name: string): Edited {
  const rest = text.slice(cursor);
  const [scale] = /^[^<>:\n]*:[^<>\n]*>/.exec(rest) ?? [];
  const start = `${text.slice(0, from)}<lora:${name}:`;
  if (scale === undefined) return { text: `${start}1>${rest}`, selection: [start.length, start.length + 1] };
  const kept = scale.slice(scale.indexOf(":") + 1);
  return { text: `${start}${kept}${rest.slice(scale.length)}`, selection: [start.length, start.length + kept.length - 1] };
}
