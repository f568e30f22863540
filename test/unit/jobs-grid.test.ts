import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { parseAxis } from "../../src/cli/arguments.ts";
import { readPng, readPngParameters } from "../../src/formats/png.ts";
import type { RgbImage } from "../../src/formats/rgb-image.ts";
import { parseParameters } from "../../src/formats/parameters.ts";
import { describePrompts } from "../../src/jobs/describe-prompt.ts";
import { readPictureParameters } from "../../src/jobs/picture-parameters.ts";
import { gridSheet } from "../../src/pipeline/grid-sheet.ts";
import { setLoraScale } from "../../src/pipeline/prompt.ts";
import { CHECKPOINT, cli, failure, filesUnder, INK, newEngines, recordingContext, run, temporaryFolder } from "./jobs-support.ts";

const folder = temporaryFolder();
const engine = join(folder, "emoji");
const engines = newEngines();
const QUICK = { engine, prompt: "red apple", steps: 2, cfg: 4, seed: 1, width: 64, height: 64 } as const;

beforeAll(async () => {
  await run("export", { checkpoint: CHECKPOINT, output: engine }, engines);
});

/** The part of a picture that another fills. */
function crop({ width, data }: RgbImage, left: number, top: number, side: number): Uint8Array {
  const rows = Array.from({ length: side }, (_, row) =>
    data.subarray(((top + row) * width + left) * 3, ((top + row) * width + left + side) * 3),
  );
  return Buffer.concat(rows);
}

async function single(options: object): Promise<Uint8Array> {
  const output = join(folder, `single-${JSON.stringify(options).length}-${Math.random()}.png`);
  const { images } = await run("generate", { ...QUICK, ...options, output }, engines);
  return Buffer.from((await readPng(images[0]!)).data);
}

describe("a grid", () => {
  test("each of its pictures is the one that generate makes", async () => {
    const output = join(folder, "grid.png");
    const x = { option: "lora", lora: INK, values: [0, 1] };
    const y = { option: "cfg", values: [1, 4, 8] };
    const { columns, rows, seed, timings } = await run("grid", { ...QUICK, x, y, output }, engines);
    expect([columns, rows, seed]).toEqual([["ink 0", "ink 1"], ["CFG 1", "CFG 4", "CFG 8"], "1"]);
    expect(timings.pictures).toHaveLength(6);
    const sheet = await readPng(output);
    // The row labels are the widest of "CFG 1"; 6 pixels a character, 4 between things, 10 a line of text.
    const [left, top] = [4 + 5 * 6 + 4, 4 + 10];
    expect([sheet.width, sheet.height]).toEqual([left + 2 * 68, top + 3 * 68]);
    for (const [row, cfg] of [1, 4, 8].entries()) {
      for (const [column, scale] of [0, 1].entries()) {
        const alone = await single({ cfg, lora: [{ file: INK, scale }] });
        expect(Buffer.from(crop(sheet, left + column * 68, top + row * 68, 64)).equals(alone), `${cfg}, ${scale}`).toBe(true);
      }
    }
  });

  test("its parameters name the axes", async () => {
    const output = join(folder, "named.png");
    await run("grid", { ...QUICK, x: { option: "sampler", values: ["euler", "ddim"] }, output }, engines);
    const { others, prompt, seed } = parseParameters(await readPngParameters(output));
    expect([prompt, seed, others.get("Script"), others.get("X Type"), others.get("X Values")]).toEqual([
      "red apple",
      "1",
      "X/Y grid",
      "sampler",
      "euler, ddim",
    ]);
  });

  test("pictures without a seed of their own share a random one", async () => {
    const { seed: _own, ...unseeded } = QUICK;
    const output = join(folder, "shared.png");
    const { seed } = await run("grid", { ...unseeded, x: { option: "steps", values: [2, 2] }, output }, engines);
    expect(seed).toMatch(/^\d+$/);
    const sheet = await readPng(output);
    expect(crop(sheet, 4, 14, 64)).toEqual(crop(sheet, 72, 14, 64));
  });

  test("a LoRA that the prompt names is changed there", async () => {
    copyFileSync(INK, join(folder, "ink.safetensors"));
    const output = join(folder, "tagged.png");
    const prompt = "red apple <lora:ink:0.3>";
    await run("grid", { ...QUICK, prompt, x: { option: "lora", lora: "ink", values: [0, 1] }, output }, engines);
    const sheet = await readPng(output);
    const alone = await single({ lora: [{ file: INK, scale: 1 }] });
    expect(Buffer.from(crop(sheet, 72, 14, 64)).equals(alone)).toBe(true);
  });

  test.each<[string, object, RegExp]>([
    ["a value that the option does not take", { x: { option: "sampler", values: ["euler", "ddpm"] } }, /--sampler ddpm: it must be one of/],
    ["a LoRA that is not named", { x: { option: "lora", values: [1] } }, /has to name the LoRA/],
    ["a scale that is no number", { x: { option: "lora", lora: INK, values: ["much"] } }, /scale much of .* is not a number/],
    ["no value", { x: { option: "cfg", values: [] } }, /--x \{.*\}|--x \[\]/],
    [
      "too many pictures",
      { width: 2048, height: 2048, x: { option: "cfg", values: Array.from({ length: 30 }, (_, i) => i) } },
      /at most 23 pictures/,
    ],
  ])("%s is found before anything is drawn", async (_name, options, message) => {
    const before = filesUnder(folder);
    const context = recordingContext();
    const error = await failure(run("grid", { ...QUICK, output: join(folder, "never.png"), ...options }, engines, context));
    expect(error.code).toBe("option.invalid");
    expect(error.message).toMatch(message);
    expect(context.stages).toEqual([]);
    expect(filesUnder(folder)).toEqual(before);
  });

  test("cancelled, it leaves nothing; progress is that of the whole", async () => {
    const before = filesUnder(folder);
    const controller = new AbortController();
    const context = recordingContext({
      signal: controller.signal,
      onProgress: ({ message }) => message?.startsWith("picture 2/3") && controller.abort(),
    });
    const job = run("grid", { ...QUICK, x: { option: "cfg", values: [1, 2, 3] }, output: join(folder, "stopped.png") }, engines, context);
    expect((await failure(job)).code).toBe("cancelled");
    expect(filesUnder(folder)).toEqual(before);
    const fractions = context.stages.filter(({ stage }) => stage === "sampling").map(({ fraction }) => fraction!);
    expect(fractions).toEqual(fractions.toSorted((a, b) => a - b));
    expect(Math.max(...fractions)).toBeLessThanOrEqual(2 / 3);
  });

  test("the command line makes one", async () => {
    const output = join(folder, "cli.png");
    const quick = ["--prompt", "red apple", "--steps", "2", "--width", "64", "--height", "64", "--seed", "1"];
    const axes = ["--x", "cfg=1,4", "--y", `lora:${INK}=0,1`];
    const { code, lines } = await cli(["grid", engine, ...quick, ...axes, "-o", output, "--json"]);
    expect(code).toBe(0);
    expect(lines.at(-1)).toMatchObject({ type: "result", image: output, columns: ["CFG 1", "CFG 4"], rows: ["ink 0", "ink 1"] });
    expect((await readPng(output)).width).toBeGreaterThan(128);
  });

  test.each([
    ["cfg=4,7.5", { option: "cfg", values: [4, 7.5] }],
    ["cfg-rescale=0,0.7", { option: "cfgRescale", values: [0, 0.7] }],
    ["seed=1,18446744073709551615", { option: "seed", values: ["1", "18446744073709551615"] }],
    ["lora:C:\\a=b.safetensors=0,1", { option: "lora", lora: "C:\\a=b.safetensors", values: [0, 1] }],
  ])("--x %s", (text, axis) => {
    expect(parseAxis(text)).toEqual(axis);
  });

  test.each(["cfg", "=1", "cfg=many"])("--x %s is refused", (text) => {
    expect(() => parseAxis(text)).toThrow(/Expected/);
  });
});

test("without row labels a sheet has no margin for them", () => {
  const plain: RgbImage = { width: 36, height: 8, data: new Uint8Array(36 * 8 * 3).fill(100) };
  const { width, height } = gridSheet({ images: [plain, plain], columns: ["a", "b"], rows: [""] });
  expect([width, height]).toEqual([4 + 2 * 40, 4 + 10 + 12]);
});

test.each([
  ["a <lora:ink:0.3> b", "a <lora:ink:1.5> b"],
  ["<lora:ink:0.3:0.2:lbw=INS><lora:ink>", "<lora:ink:1.5:0.2:lbw=INS><lora:ink:1.5>"],
  ["<lora:other:1> ink", undefined],
])("another scale in %j", (prompt, changed) => {
  expect(setLoraScale(prompt, "ink", 1.5)).toBe(changed);
});

describe("prompts are described as the engine reads them", () => {
  test("tokens, chunks and LoRAs", async () => {
    const long = Array.from({ length: 80 }, () => "apple").join(" ");
    const [plain, empty, second, tagged] = await describePrompts(engine, ["red apple", "", long, "red <lora:ink:0.5:0.2> apple"]);
    expect(plain).toMatchObject({ tokens: 2, room: 75, limit: 600, loras: [] });
    expect(empty).toMatchObject({ tokens: 0, room: 75 });
    expect(second).toMatchObject({ tokens: 80, room: 150 });
    expect(tagged).toMatchObject({ tokens: 2, text: "red  apple", loras: [{ name: "ink", scale: 0.5, textEncoderScale: 0.2 }] });
  });

  test("one that cannot be read keeps the others", async () => {
    const [broken, nested, plain] = await describePrompts(engine, ["<lora:ink:much>", "(".repeat(300), "red apple"]);
    expect(broken!.problem).toMatch(/not a LoRA reference/);
    expect(nested!.problem).toMatch(/nested over 256 deep/);
    expect(plain!.tokens).toBe(2);
  });
});

test("a picture's parameters survive as JSON", async () => {
  const output = join(folder, "kept.png");
  await run("generate", { ...QUICK, negative: "green", cfgRescale: 0.5, output }, engines);
  const parameters = JSON.parse(JSON.stringify(await readPictureParameters(output))) as object;
  expect(parameters).toMatchObject({ prompt: "red apple", negativePrompt: "green", seed: "1", others: { "CFG rescale": "0.5" } });
  expect((await failure(readPictureParameters(CHECKPOINT))).code).toBe("file.invalid");
});
