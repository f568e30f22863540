import { describe, expect, test } from "vitest";
import { firstValue, spanOf, suggest } from "../../src/extension/batch/options.ts";
import { parseBatch } from "../../src/jobs/batch-file.ts";
import { SAMPLERS } from "../../src/pipeline/samplers/sampler.ts";

/** Suggestions where "|" stands in the line. */
function at(marked: string) {
  const column = marked.indexOf("|");
  return suggest(marked.replace("|", ""), column);
}

describe("what can be written", () => {
  test("options that are not there yet, also in a line that is not finished", () => {
    const found = at('{"engine": "e", "|')!;
    expect(found.kind).toBe("option");
    expect(found.texts).toContain("cfgRescale");
    expect(found.texts).not.toContain("engine");
    expect(found.span).toEqual({ start: 16, end: 17 });
    expect(found.needsValue).toBe(true);
  });

  test("an option that is changed stays among them, and keeps its value", () => {
    const found = at('{"ste|ps": 3, "seed": 1}')!;
    expect(found.texts).toContain("steps");
    expect(found.texts).not.toContain("seed");
    expect([found.span, found.needsValue]).toEqual([{ start: 1, end: 8 }, false]);
  });

  test("values of an option with choices, over the one that stands there", () => {
    const found = at('{"sampler": "eul|er", "seed": 1}')!;
    expect(found).toMatchObject({ kind: "value", path: ["sampler"], span: { start: 12, end: 19 } });
    expect(found.texts).toEqual(SAMPLERS.map((name) => `"${name}"`));
  });

  test.each([
    ['{"overwrite": |}', ["true", "false"]],
    ['{"steps": |', ["20"]],
    ['{"width": |}', []],
    ['{"lora": [{"file": "a", "scale": |}]}', ["1"]],
  ])("%s", (line, texts) => {
    expect(at(line)?.texts).toEqual(texts);
  });

  test("the options of a LoRA inside the list", () => {
    expect(at('{"lora": [{"file": "a"}, {"|')?.texts).toEqual(["file", "scale", "textEncoderScale", "blockWeights"]);
    expect(at('{"lora": [{"file": "a", "|"}]}')?.texts).toEqual(["scale", "textEncoderScale", "blockWeights"]);
  });

  test("nothing in comments, and nothing where nothing is known", () => {
    expect(at('# {"|')).toBeUndefined();
    expect(at('{"colour": "|"}')).toBeUndefined();
  });

  test("a value to begin with", () => {
    expect(["sampler", "engine", "seed", "dense"].map((option) => firstValue([], option))).toEqual(['"euler"', '""', "", ""]);
  });
});

describe("where a problem is", () => {
  test.each([
    ['{"engine": "e", "prompt": "p", "steps": 0, "seed": 1}', '"steps": 0'],
    ['{"engine": "e", "prompt": "p", "cgf": 7}', '"cgf": 7'],
    ['  {"prompt": "p"}  ', '{"prompt": "p"}'],
    ['{"engine": "e", "prompt": "p", "lora": [{"file": "a", "scale": "much"}]}', '"scale": "much"'],
    ['{"engine": "e", "prompt": "p", "lora": [{"file": "a", "size": 1}]}', '"size": 1'],
    ['{"engine": "e", "prompt": p}', "p}"],
    ["[1]", "[1]"],
  ])("%s", (line, piece) => {
    const { problems } = parseBatch(line);
    expect(problems).toHaveLength(1);
    const { start, end } = spanOf(problems[0]!, line);
    expect(line.slice(start, end)).toBe(piece);
  });

  test("every option that is wrong is told, and each of its line", () => {
    const { jobs, problems } = parseBatch('# a\n{"prompt": 1, "steps": 0, "engine": "e"}\r\n\n{"prompt": "p"}', {});
    expect(problems.map(({ line, message, missing }) => [line, message, missing])).toEqual([
      [2, '"prompt" 1: it must be text.', false],
      [2, '"steps" 0: it must be at least 1.', false],
      [4, '"engine" is missing. Give it.', true],
    ]);
    expect(jobs.map(({ line }) => line)).toEqual([2, 4]);
  });

  test("what all jobs share is not missing", () => {
    expect(parseBatch('{"prompt": "p"}', { engine: "e" })).toEqual({
      jobs: [{ line: 1, options: { engine: "e", prompt: "p" } }],
      problems: [],
    });
  });
});
