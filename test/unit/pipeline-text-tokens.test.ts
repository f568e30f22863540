import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { loadClipTokenizer } from "../../src/pipeline/clip-tokenizer.ts";

interface Row {
  readonly text: string;
  readonly ids: readonly number[];
}

const rows = JSON.parse(readFileSync(new URL("../fixtures/text/tokens.json", import.meta.url), "utf8")) as Row[];

describe("CLIP token ids equal transformers' CLIPTokenizer", () => {
  test("the table holds every Unicode plane", () => {
    const planes = new Set(rows.flatMap(({ text }) => Array.from(text, (character) => character.codePointAt(0)! >> 16)));
    expect([...planes].toSorted((a, b) => a - b)).toEqual(Array.from({ length: 17 }, (_, plane) => plane));
  });

  test.each(rows.map((row) => [JSON.stringify(row.text).slice(0, 60), row] as const))("%s", async (_, { text, ids }) => {
    const tokenizer = await loadClipTokenizer();
    expect(tokenizer.encode(text)).toEqual(ids);
  });

  test("the tokenizer is read once", async () => {
    expect(await loadClipTokenizer()).toBe(await loadClipTokenizer());
  });
});
