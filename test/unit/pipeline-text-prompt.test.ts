import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { loadClipTokenizer } from "../../src/pipeline/clip-tokenizer.ts";
import { applyEmphasis, encodePlan } from "../../src/pipeline/prompt-chunks.ts";
import { extractLoras, parsePrompt } from "../../src/pipeline/prompt.ts";

const fixture = (name: string): unknown => JSON.parse(readFileSync(new URL(`../fixtures/text/${name}`, import.meta.url), "utf8"));

type ExpectedPart = "BREAK" | [string, number];
const prompts = fixture("prompts.json") as { prompt: string; parts: ExpectedPart[] }[];
const plans = fixture("chunks.json") as { prompt: string; pad: number; chunks: { ids: number[]; weights: number[]; end: number }[] }[];

describe("weights of a prompt", () => {
  test.each(prompts.map((row) => [row.prompt, row.parts] as const))("%j", (prompt, expected) => {
    const actual = parsePrompt(prompt);
    expect(actual.map((part) => (part.kind === "break" ? "BREAK" : part.text))).toEqual(
      expected.map((part) => (part === "BREAK" ? part : part[0])),
    );
    actual.forEach((part, index) => {
      if (part.kind === "text") expect(part.weight).toBeCloseTo(expected[index]![1] as number, 9);
    });
  });

  test("what nests too deep is refused, and quickly", () => {
    expect(() => parsePrompt("(a".repeat(100_000))).toThrow(/nested over 256 deep/);
    expect(() => parsePrompt("[".repeat(257))).toThrow(/nested over 256 deep/);
    expect(parsePrompt(`${"(".repeat(256)}a`)).toHaveLength(1);
  });

  test("a weight outside float32 is refused", () => {
    expect(() => parsePrompt(`(sky:${"9".repeat(40)})`)).toThrow('The weight of "sky" in the prompt is too large');
  });
});

describe("LoRA references", () => {
  test.each([
    ["a cat", "a cat", []],
    ["a <lora:ink:0.8> cat", "a  cat", [{ name: "ink", scale: 0.8 }]],
    ["<lora:ink>", "", [{ name: "ink", scale: 1 }]],
    ["<LoRA:Ink:1.>", "", [{ name: "Ink", scale: 1 }]],
    ["<lora:my file v1.2:-.5:0.25>x", "x", [{ name: "my file v1.2", scale: -0.5, textEncoderScale: 0.25 }]],
    [
      "<lora:a:1>(b<lora: c : 2 >:1.2)",
      "(b:1.2)",
      [
        { name: "a", scale: 1 },
        { name: "c", scale: 2 },
      ],
    ],
    ["a < b, <b>, <hypernet:x:1>, <lora", "a < b, <b>, <hypernet:x:1>, <lora", []],
    ["<lora:日本 😀:1>", "", [{ name: "日本 😀", scale: 1 }]],
  ])("%j", (prompt, rest, loras) => expect(extractLoras(prompt)).toEqual({ prompt: rest, loras }));

  test.each(["<lora:>", "<lora::1>", "<lora:a:>", "<lora:a:b>", "<lora:a:1:x>", "<lora:a:1:1:1>", "<lora:a:NaN>", "<lora:a:1e999>"])(
    "%s is refused",
    (prompt) => expect(() => extractLoras(`x ${prompt}`)).toThrow(`"${prompt}" in the prompt is not a LoRA reference`),
  );
});

describe("chunks", () => {
  test.each(plans.map((row) => [row.prompt.slice(-50), row.pad, row] as const))("…%j padded with %i", async (_, pad, row) => {
    const { chunks } = encodePlan(row.prompt, await loadClipTokenizer(), pad);
    expect(chunks.map((chunk) => [...chunk.ids])).toEqual(row.chunks.map((chunk) => chunk.ids));
    expect(chunks.map((chunk) => chunk.endPosition)).toEqual(row.chunks.map((chunk) => chunk.end));
    chunks.forEach((chunk, index) => {
      expect([...chunk.weights]).toEqual([...Float32Array.from(row.chunks[index]!.weights)]);
    });
  });

  test("a word that is longer than a whole chunk is split, however short the chunk", async () => {
    const { chunks } = encodePlan("antidisestablishmentarianism", await loadClipTokenizer(), 0, 4);
    expect(chunks.map((chunk) => [...chunk.ids])).toEqual(expect.arrayContaining([[49406, expect.any(Number), expect.any(Number), 49407]]));
    const ids = chunks.flatMap((chunk) => [...chunk.ids.subarray(1, chunk.endPosition)]);
    expect(ids).toEqual((await loadClipTokenizer()).encode("antidisestablishmentarianism"));
  });
});

describe("emphasis", () => {
  const hidden = Float32Array.of(1, 2, 3, 4, 5, 6);
  const empty = Float32Array.of(0, 1, 1, 1, 10, 10);

  test("interpolates from the empty prompt, token by token", () => {
    expect([...applyEmphasis(hidden, empty, Float32Array.of(1, 2, 0.5))]).toEqual([1, 2, 5, 7, 7.5, 8]);
    expect([...applyEmphasis(hidden, empty, Float32Array.of(0, -1, 1))]).toEqual([0, 1, -1, -2, 5, 6]);
  });

  test("weight 1 keeps every bit and the input is left alone", () => {
    const values = Float32Array.of(1 / 3, -0, 1e-42, 3e38, 0.1, -1 / 7);
    const before = new Uint32Array(values.slice().buffer);
    const result = applyEmphasis(values, empty, Float32Array.of(1, 1, 1));
    expect(new Uint32Array(result.buffer)).toEqual(before);
    applyEmphasis(values, empty, Float32Array.of(2, 2, 2));
    expect(new Uint32Array(values.slice().buffer)).toEqual(before);
  });
});
