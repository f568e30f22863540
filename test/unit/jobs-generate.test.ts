import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { float32ToFp16 } from "../../src/formats/half.ts";
import { parseParameters } from "../../src/formats/parameters.ts";
import { decodePng, readPng, readPngParameters } from "../../src/formats/png.ts";
import { SafetensorsFile } from "../../src/formats/safetensors.ts";
import { writeSafetensors } from "../../src/formats/safetensors-writer.ts";
import type { GenerateResult } from "../../src/jobs/results.ts";
import { TorchGenerator } from "../../src/pipeline/noise.ts";
import { CHECKPOINT, failure, filesUnder, HUE, INK, newEngines, recordingContext, run, temporaryFolder } from "./jobs-support.ts";
import { mountSmallDisk } from "./small-disk.ts";

const folder = temporaryFolder();
const engines = newEngines();
const engine = join(folder, "engines", "emoji");
const startFolder = process.cwd();
let count = 0;

beforeAll(async () => {
  await run("export", { checkpoint: CHECKPOINT, output: engine }, engines);
  await engines.load(engine, "auto", recordingContext());
  // Default names and <lora:…> are looked for in the working folder.
  mkdirSync(join(folder, "work", "loras"), { recursive: true });
  copyFileSync(INK, join(folder, "work", "loras", "ink.safetensors"));
  process.chdir(join(folder, "work"));
});

afterAll(async () => {
  process.chdir(startFolder);
  await engines.unloadAll();
});

const freshPath = (extension = "png") => join(folder, `out-${count++}.${extension}`);

/** Two steps of a small picture, so that a test is about one thing. */
const QUICK = { engine, prompt: "red apple", steps: 2, cfg: 4, seed: 1, width: 64, height: 64 };

const generate = (options: object = {}) => run("generate", { ...QUICK, output: freshPath(), ...options }, engines);

const pixels = async ({ images }: GenerateResult, index = 0) => Buffer.from((await readPng(images[index]!)).data);

async function refused(options: object): Promise<{ code: string; message: string }> {
  const output = freshPath();
  const before = filesUnder(folder);
  const { code, message } = await failure(run("generate", { ...QUICK, output, ...options }, engines));
  expect(filesUnder(folder), "a refused run leaves nothing").toEqual(before);
  return { code, message };
}

describe("the picture", () => {
  test("is of the size asked for, and the result tells how it was made", async () => {
    const result = await generate({ width: 72, height: 88, lora: [{ file: INK, scale: 0.5 }] });
    expect(await readPng(result.images[0]!)).toMatchObject({ width: 72, height: 88 });
    expect(result.seed).toBe("1");
    expect(result.sigmas).toHaveLength(3);
    expect(result.sigmas.at(-1)).toBe(0);
    expect(result.loras).toEqual([{ file: INK, scale: 0.5, matched: 192, unmatched: [], warnings: [] }]);
    for (const time of Object.values(result.timings)) expect(time).toBeGreaterThanOrEqual(0);
  });

  test("without a size has that of the checkpoint's training", async () => {
    const { images } = await generate({ width: undefined, height: undefined, steps: 1 });
    expect(await readPng(images[0]!)).toMatchObject({ width: 128, height: 128 });
  });

  test("comes with a preview at every second step and at the last, and at none where none is asked for", async () => {
    const context = recordingContext();
    const options = { ...QUICK, steps: 5, output: freshPath(), width: 72, height: 88 };
    const { images } = await run("generate", { ...options, previewEvery: 2 }, engines, context);
    const previews = context.stages.filter(({ preview }) => preview);
    expect(previews.map(({ message }) => message)).toEqual(["step 2/5", "step 4/5", "step 5/5"]);
    for (const { preview } of previews) {
      expect(preview).toMatchObject({ width: 9, height: 11 });
      expect(decodePng("preview", Buffer.from(preview!.data, "base64"))).toMatchObject({ width: 9, height: 11 });
    }
    expect(previews[0]!.preview!.data).not.toBe(previews[1]!.preview!.data);
    const without = recordingContext();
    const again = await run("generate", { ...options, output: freshPath() }, engines, without);
    expect(without.stages.some(({ preview }) => preview)).toBe(false);
    expect((await pixels(again)).equals(await pixels({ images } as unknown as GenerateResult))).toBe(true);
  });

  test("is the same to the byte before and after a LoRA", async () => {
    const before = await generate();
    const withLora = await generate({ lora: [{ file: INK }, { file: HUE, scale: -0.5 }] });
    const after = await generate();
    const bytes = ({ images }: GenerateResult) => readFileSync(images[0]!);
    expect(bytes(withLora).equals(bytes(before))).toBe(false);
    expect(bytes(after).equals(bytes(before))).toBe(true);
  });

  test("is that of its own stack, whatever runs beside it", async () => {
    const alone = [await generate(), await generate({ lora: [{ file: INK }] }), await generate({ lora: [{ file: HUE }] })];
    const together = await Promise.all([generate(), generate({ lora: [{ file: INK }] }), generate({ lora: [{ file: HUE }] })]);
    for (const [index, result] of together.entries()) {
      expect((await pixels(result)).equals(await pixels(alone[index]!)), `run ${index}`).toBe(true);
    }
  });

  test("reads its parameters back", async () => {
    const options = {
      prompt: 'a "cat", (face:1.2): ñ',
      negative: "blue, line\nbreak",
      sampler: "dpmpp_2m",
      schedule: "karras",
      seed: "18446744073709551615",
      cfgRescale: 0.5,
    };
    const { images } = await generate({ ...options, lora: [{ file: INK, scale: 0.4 }] });
    const read = parseParameters(await readPngParameters(images[0]!));
    expect(read).toMatchObject({
      prompt: `${options.prompt} <lora:ink:0.4>`,
      negativePrompt: options.negative,
      sampler: "dpmpp_2m",
      schedule: "karras",
      seed: options.seed,
      steps: 2,
      cfgScale: 4,
      size: { width: 64, height: 64 },
      model: "emoji",
    });
    expect(read.others.get("CFG rescale")).toBe("0.5");
    const { sampler, schedule, seed, prompt, negativePrompt: negative } = read;
    const again = await generate({ prompt, negative, sampler, schedule, seed, cfgRescale: 0.5 });
    expect((await pixels(again)).equals(await pixels({ images } as unknown as GenerateResult))).toBe(true);
  });
});

describe("prompts", () => {
  test("every plane of Unicode, and none at all", async () => {
    const planes = Array.from({ length: 17 }, (_, plane) => String.fromCodePoint(plane * 0x1_00_00 + 0x123)).join(" ");
    for (const prompt of [planes, "", "\u0000\t\n", "🦊👩‍👩‍👧‍👦 ﷽", "\ud800 half a pair"]) {
      const { images } = await generate({ prompt, steps: 1, negative: planes });
      expect(images).toHaveLength(1);
      expect(parseParameters(await readPngParameters(images[0]!)).prompt).toBe(prompt.trim());
    }
  });

  test("longer than a chunk, with a shorter negative, and BREAK", async () => {
    const long = Array.from({ length: 100 }, (_, i) => `apple ${i}`).join(", ");
    const [one, other] = [await generate({ prompt: long, negative: "blue" }), await generate({ prompt: `${long} pear`, negative: "blue" })];
    expect((await pixels(one)).equals(await pixels(other))).toBe(false);
    const [plain, broken] = [await generate({ prompt: "red apple" }), await generate({ prompt: "red BREAK apple" })];
    expect((await pixels(plain)).equals(await pixels(broken))).toBe(false);
  });

  test("longer than the engine takes", async () => {
    const short = join(folder, "engines", "short");
    await run("export", { checkpoint: CHECKPOINT, output: short, context: [77, 77, 77] }, engines);
    const { code, message } = await refused({ engine: short, prompt: "red BREAK apple" });
    expect([code, message]).toEqual([
      "option.invalid",
      expect.stringContaining("The prompts fill 154 tokens; the engine takes from 77 to 77."),
    ]);
    await engines.unload(short);
  });

  test("<lora:ink:0.5> is looked for in loras/ of the working folder", async () => {
    const tagged = await generate({ prompt: "<lora:ink:0.5>red apple" });
    expect(tagged.loras).toMatchObject([{ file: join(folder, "work", "loras", "ink.safetensors"), scale: 0.5, matched: 192 }]);
    expect((await pixels(tagged)).equals(await pixels(await generate({ lora: [{ file: INK, scale: 0.5 }] })))).toBe(true);
  });

  test("a LoRA that is not there", async () => {
    const { code, message } = await refused({ prompt: "<lora:pencil:0.5>red apple" });
    expect(code).toBe("file.missing");
    expect(message).toMatch(/<lora:pencil:…> in the prompt: no pencil\.safetensors or pencil\.trt_lora in .*loras/);
  });
});

describe("seeds and noise", () => {
  test.each([
    ["negative", "-5"],
    ["beyond 2^53", "9007199254740993"],
    ["the largest", "18446744073709551615"],
  ])("%s", async (_name, seed) => {
    const saveLatents = freshPath("safetensors");
    const result = await generate({ seed, steps: 1, saveLatents });
    expect(result.seed).toBe(seed);
    expect((await pixels(result)).equals(await pixels(await generate({ seed, steps: 1 })))).toBe(true);
  });

  test("none: another picture every time, whose seed gives it again", async () => {
    const [one, other] = [await generate({ seed: undefined }), await generate({ seed: undefined })];
    expect(one.seed).not.toBe(other.seed);
    expect((await pixels(await generate({ seed: one.seed }))).equals(await pixels(one))).toBe(true);
  });

  async function writeNoise(
    dims: readonly number[],
    values: Float32Array,
    name = "latents",
    dtype: "F32" | "F16" = "F32",
  ): Promise<string> {
    const path = freshPath("safetensors");
    const words = dtype === "F32" ? values : float32ToFp16(values);
    const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
    await writeSafetensors(path, [{ name, dtype, shape: dims, chunks: () => [bytes] }], {});
    return path;
  }

  test("a batch has the noise of one torch.randn(B, …); as a file it gives the same pictures", async () => {
    const dims = [3, 4, 8, 8];
    const batch = await generate({ batch: 3, seed: 7 });
    expect(batch.images).toHaveLength(3);
    const noise = new TorchGenerator(7n).randn(768);
    const given = await generate({ batch: 3, latents: await writeNoise(dims, noise) });
    const alone = await generate({ latents: await writeNoise([1, 4, 8, 8], noise.subarray(512)) });
    for (let i = 0; i < 3; i++) expect((await pixels(given, i)).equals(await pixels(batch, i)), `picture ${i}`).toBe(true);
    // Other products of the same numbers: to rounding.
    const [third, single] = [await pixels(batch, 2), await pixels(alone)];
    expect(Math.max(...third.map((value, i) => Math.abs(value - single[i]!)))).toBeLessThanOrEqual(1);
  });

  test("final latents are saved", async () => {
    const saveLatents = freshPath("safetensors");
    await generate({ batch: 2, saveLatents });
    const file = await SafetensorsFile.open(saveLatents);
    expect(file.entry("latents")).toMatchObject({ dtype: "F32", shape: [2, 4, 8, 8] });
    expect((await file.readFloat32("latents")).every(Number.isFinite)).toBe(true);
    await file.close();
    // And can be read again as noise.
    expect((await generate({ batch: 2, latents: saveLatents })).images).toHaveLength(2);
  });

  test("saved latents overwrite nothing unasked", async () => {
    const saveLatents = await writeNoise([1], new Float32Array(1));
    expect((await refused({ saveLatents })).code).toBe("file.exists");
    await generate({ saveLatents, overwrite: true });
  });

  test("half-precision noise is taken", async () => {
    expect(
      (await generate({ latents: await writeNoise([1, 4, 8, 8], new TorchGenerator(1n).randn(256), "latents", "F16") })).images,
    ).toHaveLength(1);
  });

  test.each<[string, () => Promise<string>, RegExp]>([
    ["another shape", () => writeNoise([1, 4, 8, 9], new Float32Array(288)), /shape \[1, 4, 8, 9\]; this run needs \[1, 4, 8, 8\]/],
    ["another name", () => writeNoise([1, 4, 8, 8], new Float32Array(256), "noise"), /has no tensor "latents"/],
    ["NaN", () => writeNoise([1, 4, 8, 8], new Float32Array(256).fill(NaN)), /the latents hold 256 NaN and 0 infinite values/],
  ])("noise refused: %s", async (_name, make, message) => {
    const { code, message: text } = await refused({ latents: await make() });
    expect(text).toMatch(message);
    expect(code).toBe("option.invalid");
  });
});

describe("image to image", () => {
  test("little strength leaves most of the picture", async () => {
    const source = await generate({ prompt: "sunflower", steps: 12, seed: 3, schedule: "karras" });
    const original = await pixels(source);
    const distanceAt = async (strength: number) => {
      const result = await pixels(await generate({ image: source.images[0], strength, steps: 6, seed: 9 }));
      return result.reduce((sum, value, i) => sum + (value - original[i]!) ** 2, 0);
    };
    const least = await distanceAt(0.1);
    for (const strength of [0.5, 1]) expect(least * 1.5).toBeLessThan(await distanceAt(strength));
  });

  test("a picture of another size is scaled", async () => {
    const source = await generate({ width: 136, height: 72 });
    expect(await readPng((await generate({ image: source.images[0] })).images[0]!)).toMatchObject({ width: 64, height: 64 });
  });

  test("what is no picture is refused", async () => {
    expect((await refused({ image: INK })).message).toContain("ink.safetensors");
    expect((await refused({ image: join(folder, "none.png") })).code).toBe("file.missing");
  });
});

describe("options refused", () => {
  test.each<[object, RegExp]>([
    [{ width: 100 }, /^The width 100 is not a multiple of 8: use 96 or 104\.$/],
    [{ height: 4 }, /not a multiple of 8: use 8 or 16/],
    [{ width: 4096 }, /takes a width from 64 to 2048, not 4096.*--width/],
    [{ height: 56 }, /takes a height from 64 to 2048, not 56/],
    [{ batch: 17 }, /takes a batch from 1 to 16, not 17.*--batch/],
    [{ batch: 0 }, /^--batch 0: it must be at least 1\.$/],
    [{ sampler: "ddpm" }, /^--sampler ddpm: it must be one of euler, euler_ancestral, heun/],
    [{ schedule: "fast" }, /^--schedule fast: it must be one of normal, karras/],
    [{ steps: 0 }, /^--steps 0: it must be at least 1\.$/],
    [{ steps: 2.5 }, /^--steps 2\.5: it must be a whole number\.$/],
    [{ steps: 20_000 }, /^--steps 20000: it must be at most 10000\.$/],
    [{ previewEvery: -1 }, /^--preview-every -1/],
    [{ cfgRescale: 2 }, /^--cfg-rescale 2: it must be at most 1\.$/],
    [{ cfg: "high" }, /^--cfg high: it must be a number\.$/],
    [{ seed: "18446744073709551616" }, /Seed 18446744073709551616 does not fit in 64 bits/],
    [{ seed: "one" }, /^--seed one: it must be a whole number\.$/],
    [{ strength: 0 }, /^--strength 0: it must be more than 0\.$/],
    [{ prompt: undefined }, /^--prompt is missing\. Give it\.$/],
    [{ lora: [{ file: "" }] }, /^--lora "": it must not be empty\.$/],
    [{ output: "out.jpg" }, /out\.jpg: pictures are written as PNG/],
    [{ colour: "red" }, /^There is no option --colour\. Leave it out\.$/],
  ])("%j", async (options, message) => {
    const error = await refused(options);
    expect(error.message).toMatch(message);
    expect(error.code).toBe("option.invalid");
  });

  test("more steps than a schedule has", async () => {
    const { code, message } = await refused({ steps: 2000, schedule: "leading" });
    expect([code, message]).toEqual(["option.invalid", expect.stringContaining("2000")]);
  });
});

describe("engines that cannot", () => {
  test.each([
    [["unet", "text_encoder", "text_encoder_2"], "has no vae_decoder"],
    [["unet", "vae_decoder"], "has no text_encoder and no text_encoder_2"],
    [["vae_decoder", "vae_encoder"], "has no unet and no text_encoder"],
  ])("with only %j", async (components, message) => {
    const partial = join(folder, "engines", `partial-${count++}`);
    await run("export", { checkpoint: CHECKPOINT, output: partial, components }, engines);
    const error = await refused({ engine: partial });
    expect([error.code, error.message]).toEqual(["bundle.invalid", expect.stringContaining(message)]);
    await engines.unload(partial);
  });

  test("without a VAE encoder there is no image to image, but there are images", async () => {
    const partial = join(folder, "engines", `partial-${count++}`);
    const components = ["unet", "text_encoder", "text_encoder_2", "vae_decoder"];
    await run("export", { checkpoint: CHECKPOINT, output: partial, components }, engines);
    const { images } = await generate({ engine: partial });
    expect((await refused({ engine: partial, image: images[0] })).message).toContain("has no vae_encoder");
    await engines.unload(partial);
  });

  test("another backend's, or none", async () => {
    expect((await refused({ backend: "tensorrt" })).code).toBe("bundle.mismatch");
    expect((await refused({ engine: join(folder, "none") })).code).toBe("file.missing");
    expect((await refused({ engine: INK })).code).toBe("bundle.invalid");
    // A folder that holds several engines.
    expect((await refused({ engine: join(folder, "engines") })).message).toContain("Name one");
  });

  test("one that was exported again is loaded again", async () => {
    const changing = join(folder, "engines", "changing");
    await run("export", { checkpoint: CHECKPOINT, output: changing }, engines);
    await generate({ engine: changing });
    await run(
      "export",
      { checkpoint: CHECKPOINT, output: changing, overwrite: true, static: true, width: [64, 64, 64], height: [64, 64, 64] },
      engines,
    );
    expect((await refused({ engine: changing, width: 128 })).message).toContain("takes only width 64, not 128");
    await engines.unload(changing);
  });

  test("loading is shared, and one job's cancelling is not the other's", async () => {
    const own = newEngines();
    const controller = new AbortController();
    const cancelled = run(
      "generate",
      { ...QUICK, output: freshPath() },
      own,
      recordingContext({ signal: controller.signal, onProgress: () => controller.abort() }),
    );
    const other = run("generate", { ...QUICK, output: freshPath() }, own);
    expect((await failure(cancelled)).code).toBe("cancelled");
    expect((await other).images).toHaveLength(1);
    expect(own.loaded()).toHaveLength(1);
    await own.unloadAll();
    expect(own.loaded()).toEqual([]);
  });
});

describe("files", () => {
  test("a picture that exists is kept unless it may be overwritten", async () => {
    const output = freshPath();
    writeFileSync(output, "mine");
    const error = await failure(run("generate", { ...QUICK, output }, engines));
    expect(error.code).toBe("file.exists");
    expect(readFileSync(output, "utf8")).toBe("mine");
    await generate({ output, overwrite: true });
    expect(await readPng(output)).toMatchObject({ width: 64 });
  });

  test("several pictures are numbered, and none is written where one exists", async () => {
    const output = freshPath();
    const { images } = await generate({ output, batch: 2 });
    expect(images).toEqual([output.replace(".png", "-1.png"), output.replace(".png", "-2.png")]);
    const other = freshPath();
    writeFileSync(other.replace(".png", "-2.png"), "mine");
    expect((await failure(run("generate", { ...QUICK, output: other, batch: 2 }, engines))).code).toBe("file.exists");
    expect(existsSync(other.replace(".png", "-1.png"))).toBe(false);
  });

  test("without a name they are counted up in the working folder", async () => {
    const first = await generate({ output: undefined });
    const second = await generate({ output: undefined, batch: 2 });
    const work = process.cwd();
    expect([...first.images, ...second.images]).toEqual(["out.png", "out-2.png", "out-3.png"].map((name) => join(work, name)));
  });

  test.each([
    ["a folder that is not there", () => join(folder, "nowhere", "x.png")],
    [
      "a folder's name",
      () => {
        mkdirSync(join(folder, "folder.png"), { recursive: true });
        return join(folder, "folder.png");
      },
    ],
  ])("%s is refused before anything is computed", async (_name, output) => {
    const path = output();
    const context = recordingContext();
    expect((await failure(run("generate", { ...QUICK, output: path }, engines, context))).code).toBe("file.unwritable");
    expect(
      (await failure(run("generate", { ...QUICK, output: freshPath(), saveLatents: path, overwrite: true }, engines, context))).code,
    ).toBe("file.unwritable");
    expect(context.stages).toEqual([]);
  });

  test("a full disk: one sentence and no part of a picture", async (context) => {
    const disk = mountSmallDisk(context, "16k");
    writeFileSync(join(disk, "full"), Buffer.alloc(8192));
    const error = await failure(run("generate", { ...QUICK, width: 128, height: 128, output: join(disk, "x.png") }, engines));
    expect(error.code).toBe("disk.full");
    expect(error.message).toContain(join(disk, "x.png"));
    expect(filesUnder(disk)).toEqual(["full"]);
  });
});

describe("cancelled", () => {
  test.each(["loading", "sampling"])("while %s, nothing is left", async (stage) => {
    const own = newEngines();
    const controller = new AbortController();
    const context = recordingContext({
      signal: controller.signal,
      onProgress: (progress) => void (progress.stage === stage && controller.abort()),
    });
    const before = filesUnder(folder);
    const options = { ...QUICK, steps: 50, output: freshPath(), saveLatents: freshPath("safetensors") };
    expect((await failure(run("generate", options, own, context))).code).toBe("cancelled");
    expect(context.stages.map((progress) => progress.stage)).toContain(stage);
    expect(filesUnder(folder)).toEqual(before);
    await own.unloadAll();
  });

  test("at the last step, before the picture is decoded", async () => {
    const controller = new AbortController();
    const context = recordingContext({
      signal: controller.signal,
      onProgress: ({ stage, fraction }) => void (stage === "sampling" && fraction === 1 && controller.abort()),
    });
    const before = filesUnder(folder);
    expect((await failure(run("generate", { ...QUICK, output: freshPath() }, engines, context))).code).toBe("cancelled");
    expect(filesUnder(folder)).toEqual(before);
  });

  test("while another run has the engine: the other one ends well", async () => {
    const controller = new AbortController();
    const first = generate({ steps: 5 });
    const second = run("generate", { ...QUICK, output: freshPath() }, engines, recordingContext({ signal: controller.signal }));
    controller.abort();
    expect((await failure(second)).code).toBe("cancelled");
    expect((await first).images).toHaveLength(1);
  });
});

test("bench times steps and switches", async () => {
  const { backend, stepMilliseconds, switches, memoryBytes } = await run(
    "bench",
    { engine, steps: 2, width: 64, height: 64, lora: [{ file: INK }, { file: HUE, scale: 0.5 }] },
    engines,
  );
  expect(backend).toBe("onnxruntime");
  expect(stepMilliseconds.min).toBeGreaterThan(0);
  expect(stepMilliseconds.min).toBeLessThanOrEqual(stepMilliseconds.median);
  expect(stepMilliseconds.median).toBeLessThanOrEqual(stepMilliseconds.max);
  expect(switches.map(({ stack }) => stack)).toEqual([
    "ink.safetensors:1",
    "ink.safetensors:0.5",
    "opposite-hue.safetensors:0.5",
    "opposite-hue.safetensors:0.25",
    "all of them",
    "base",
  ]);
  expect(memoryBytes.merged).toBeGreaterThan(0);
  expect(
    engines
      .loaded()
      .find(({ folder: each }) => each === engine)!
      .engine.memory().merged,
  ).toBe(0);
});
