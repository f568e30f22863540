import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { Tokenizer } from "@huggingface/tokenizers";
import { UserError } from "../formats/errors.ts";

export const START_TOKEN = 49406;
export const END_TOKEN = 49407;
const MERGES = 48894;

/** Text to CLIP token ids, the start and end tokens left out. */
export interface ClipTokenizer {
  encode(text: string): number[];
}

/** What is used of the library's class, whose own type declarations do not resolve under NodeNext. */
interface LibraryTokenizer {
  normalizer: ((text: string) => string) | null;
  encode(text: string, options: { readonly add_special_tokens: boolean }): { readonly ids: number[] };
}

/**
 * What CLIP does to text before splitting it: NFC, runs of white space to one space, lower case. Lower-casing is by code
 * point, without context, as the reference tokenizer does it: a final Σ becomes σ, which `toLowerCase` on the whole text
 * would make ς. JavaScript's `\s` differs from Unicode's White_Space (U+FEFF, U+0085), hence the property. Lone
 * surrogates, which have no UTF-8 bytes, become U+FFFD.
 */
function cleanText(text: string): string {
  const composed = text
    .replace(/\p{Surrogate}/gu, "\uFFFD")
    .normalize("NFC")
    .replace(/\p{White_Space}+/gu, " ");
  return Array.from(composed, (character) => character.toLowerCase()).join("");
}

/** The printable stand-in of each byte in byte-level BPE (GPT-2): itself where it prints, else a code point from 256 on. */
function byteSymbols(): string[] {
  const prints = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  const bytes = Array.from({ length: 256 }, (_, byte) => byte);
  const printing = bytes.filter(prints).map((byte) => String.fromCodePoint(byte));
  const others = bytes.filter((byte) => !prints(byte)).map((_, index) => String.fromCodePoint(256 + index));
  return [...printing, ...others];
}

/** Builds the tokenizer from the text of CLIP's `merges.txt`; the vocabulary follows from the merges. */
function createClipTokenizer(mergesText: string): ClipTokenizer {
  const merges = mergesText
    .split("\n")
    .slice(1)
    .filter((line) => line !== "");
  const symbols = byteSymbols();
  const tokens = [
    ...symbols,
    ...symbols.map((symbol) => `${symbol}</w>`),
    ...merges.map((merge) => merge.replace(" ", "")),
    "<|startoftext|>",
    "<|endoftext|>",
  ];
  const special = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const words = String.raw`<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+`;
  const tokenizer: LibraryTokenizer = new Tokenizer(
    {
      added_tokens: [
        { ...special, id: START_TOKEN, content: "<|startoftext|>" },
        { ...special, id: END_TOKEN, content: "<|endoftext|>" },
      ],
      normalizer: null,
      pre_tokenizer: {
        type: "Sequence",
        pretokenizers: [
          { type: "Split", pattern: { Regex: words }, behavior: "Removed", invert: true },
          { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
        ],
      },
      post_processor: null,
      decoder: null,
      model: {
        type: "BPE",
        unk_token: "<|endoftext|>",
        end_of_word_suffix: "</w>",
        fuse_unk: false,
        vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
        merges,
      },
    },
    {},
  );
  // Special tokens are split off before this, as in the reference. The space, which splitting into words drops, keeps the library
  // from taking "<|ENDOFTEXT|>" in lower case for the token itself.
  tokenizer.normalizer = (text) => ` ${cleanText(text)}`;
  return { encode: (text) => tokenizer.encode(text, { add_special_tokens: false }).ids };
}

/** Where the shipped merges lie: beside `dist/` in a bundle, two folders up from this file in the source tree. */
function mergesPath(): string {
  const places = ["../assets/", "../../assets/"].map((folder) =>
    fileURLToPath(new URL(`${folder}clip-tokenizer/merges.txt`, import.meta.url)),
  );
  const found = places.find((place) => existsSync(place));
  if (found === undefined) {
    throw new UserError("file.missing", `CLIP's merges.txt is not at ${places.join(" or ")}: install this extension again.`);
  }
  return found;
}

async function readMerges(): Promise<string> {
  const path = mergesPath();
  const text = await readFile(path, "utf8");
  const count = text.trimEnd().split("\n").length - 1;
  if (count !== MERGES) {
    throw new UserError("file.invalid", `${path} holds ${count} merges, not CLIP's ${MERGES}: install this extension again.`);
  }
  return text;
}

let shared: Promise<ClipTokenizer> | undefined;

/** CLIP's tokenizer (all CLIP text encoders share it), read on the first call and kept. */
export function loadClipTokenizer(): Promise<ClipTokenizer> {
  shared ??= readMerges().then(createClipTokenizer);
  return shared;
}
