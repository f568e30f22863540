import { execFileSync } from "node:child_process";
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { copyFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import folders from "../fixtures/models/folders.json" with { type: "json" };
import { writeSparseFile, type Shapes } from "../fixtures/models/sparse-file.ts";
import { readEngineBundle } from "../../src/formats/engine-bundle.ts";
import type { UserError } from "../../src/formats/errors.ts";
import { SafetensorsFile } from "../../src/formats/safetensors.ts";
import { readWeightManifest } from "../../src/formats/weight-manifest.ts";
import { describeFile } from "../../src/jobs/describe.ts";
import type { ExportResult } from "../../src/jobs/results.ts";
import {
  CHECKPOINT,
  failure,
  filesUnder,
  INK,
  newEngines,
  recordingContext,
  rewriteSafetensors,
  run,
  temporaryFolder,
} from "./jobs-support.ts";
import { mountSmallDisk } from "./small-disk.ts";

const COMPONENTS = ["unet", "text_encoder", "text_encoder_2", "vae_encoder", "vae_decoder"];
const folder = temporaryFolder();
/** Another file system, where there is one: hard links end there. */
const OTHER_DISK = "/dev/shm";
const hasOtherDisk = existsSync(OTHER_DISK) && statSync(OTHER_DISK).dev !== statSync(folder).dev;

let names = 0;
const freshPath = () => join(folder, `bundle-${names++}`);

function exported(options: object = {}): Promise<ExportResult> {
  return run("export", { checkpoint: CHECKPOINT, output: freshPath(), ...options });
}

async function refused(options: object = {}): Promise<UserError> {
  const output = freshPath();
  const before = filesUnder(folder);
  const error = await failure(run("export", { checkpoint: CHECKPOINT, output, ...options }));
  expect(filesUnder(folder), "a refused export leaves nothing").toEqual(before);
  return error;
}

describe("a bundle", () => {
  let result: ExportResult;
  beforeAll(async () => {
    result = await exported({ name: "demo" });
  });

  test("holds what contract.md lists", () => {
    const stems = [
      "text_encoder_2_dyn-b1-16",
      "text_encoder_dyn-b1-16",
      ...["unet", "vae_decoder", "vae_encoder"].map((each) => `${each}_dyn-b1-16-h64-2048-w64-2048`),
    ];
    const expected = [...stems.flatMap((stem) => [`${stem}.onnx`, `${stem}_weights.json`]), "emoji-xl.safetensors", "engine.json"];
    expect(filesUnder(result.bundle)).toEqual(expected.toSorted());
    expect(result.components.map(({ component }) => component)).toEqual(COMPONENTS);
    expect(result.warnings).toEqual([]);
  });

  test("describes itself", async () => {
    const bundle = await readEngineBundle(result.bundle);
    expect(bundle).toMatchObject({
      name: "demo",
      architecture: "sdxl",
      precision: "fp16",
      backend: { name: "onnxruntime" },
      checkpoint: { name: "emoji-xl.safetensors", bytes: statSync(CHECKPOINT).size },
      exportOptions: { checkpoint: relative(result.bundle, CHECKPOINT), refit: "individual", static: false },
      weightFiles: [{ file: "emoji-xl.safetensors", bytes: statSync(CHECKPOINT).size }],
    });
    const unet = bundle.components.find(({ component }) => component === "unet")!;
    expect(unet.profile).toMatchObject({ static: false, width: { min: 64, opt: 128, max: 2048 }, context: { min: 1, opt: 77 } });
    expect(unet.refittable.length).toBeGreaterThan(192);
  });

  test("lists its weights with shapes, types and hashes", async () => {
    const { weights } = (await readEngineBundle(result.bundle)).components[0]!;
    const manifest = await readWeightManifest(join(result.bundle, weights));
    const file = await SafetensorsFile.open(CHECKPOINT);
    const unet = [...file.tensors.values()].filter(({ name }) => name.startsWith("model.diffusion_model."));
    expect(manifest.size).toBe(unet.length);
    for (const { name, shape } of unet) expect(manifest.get(name)).toMatchObject({ shape, dtype: "FLOAT16" });
    await file.close();
  });

  test("holds the checkpoint as a hard link", () => {
    const linked = statSync(join(result.bundle, "emoji-xl.safetensors"));
    expect([linked.dev, linked.ino]).toEqual([statSync(CHECKPOINT).dev, statSync(CHECKPOINT).ino]);
  });
});

describe("the checkpoint's bytes", () => {
  test("a symbolic link, as download caches keep them, is followed", async () => {
    const blobs = join(folder, "blobs");
    mkdirSync(blobs);
    await copyFile(CHECKPOINT, join(blobs, "0123"));
    const link = join(folder, "linked.safetensors");
    symlinkSync("blobs/0123", link);
    const { bundle } = await exported({ checkpoint: link });
    expect(statSync(join(bundle, "linked.safetensors")).ino).toBe(statSync(join(blobs, "0123")).ino);
    await readEngineBundle(bundle);
  });

  test.skipIf(!hasOtherDisk)("are copied where no link is possible", async () => {
    const other = temporaryFolder(OTHER_DISK);
    const { bundle } = await run("export", { checkpoint: CHECKPOINT, output: join(other, "bundle") });
    const copy = join(bundle, "emoji-xl.safetensors");
    expect(statSync(copy).nlink).toBe(1);
    expect(readFileSync(copy).equals(readFileSync(CHECKPOINT))).toBe(true);
  });

  test.each([
    ["fp32", "F32", 2],
    ["bf16", "BF16", 1],
  ])("are converted to %s", async (precision, dtype, factor) => {
    const { bundle } = await exported({ precision });
    const described = await readEngineBundle(bundle);
    expect(described.precision).toBe(precision);
    expect(filesUnder(bundle)).not.toContain("emoji-xl.safetensors");
    const file = await SafetensorsFile.open(join(bundle, "weights.safetensors"));
    const source = await SafetensorsFile.open(CHECKPOINT);
    const name = "model.diffusion_model.input_blocks.0.0.weight";
    expect(file.entry(name)).toMatchObject({ dtype, length: source.entry(name).length * factor });
    const [values, original] = [await file.readFloat32(name), await source.readFloat32(name)];
    expect(Math.max(...values.map((value, i) => Math.abs(value - original[i]!) / (Math.abs(original[i]!) + 1e-9)))).toBeLessThan(2 ** -8);
    await file.close();
    await source.close();
  });

  test("fp16 of an fp16 checkpoint is linked, not converted", async () => {
    const { bundle } = await exported({ precision: "fp16" });
    expect(statSync(join(bundle, "emoji-xl.safetensors")).ino).toBe(statSync(CHECKPOINT).ino);
  });
});

describe("options", () => {
  test("what a backend cannot do is said", async () => {
    const { warnings } = await exported({ refit: "none", optimizationLevel: 2, workspace: 64, computeCapability: ["8.9"] });
    const ignored = ["--refit none", "--optimization-level 2", "--workspace 64", "--compute-capability 8.9"];
    expect(warnings).toEqual(ignored.map((option) => `${option} has no effect on ONNX Runtime`));
  });

  test("static shapes", async () => {
    const { bundle, components } = await exported({ static: true, width: [64, 96, 128], batch: [1, 2, 4] });
    expect(components.map(({ file }) => file)).toContain("unet_stat-b2-h128-w96.onnx");
    expect((await readEngineBundle(bundle)).components[0]!.profile).toMatchObject({ static: true, width: { min: 96, opt: 96, max: 96 } });
  });

  test("components", async () => {
    const { bundle, components } = await exported({ components: ["unet", "vae_decoder"] });
    expect(components.map(({ component }) => component)).toEqual(["unet", "vae_decoder"]);
    expect(filesUnder(bundle).some((file) => file.startsWith("text_encoder"))).toBe(false);
  });

  test.each<[string, object, string, RegExp]>([
    ["not a multiple of 8", { width: [64, 100, 128] }, "option.invalid", /--width 64,100,128: 100 is not a multiple of 8/],
    ["falling", { height: [128, 64, 256] }, "option.invalid", /^--height \[128,64,256\]: it must be min,opt,max in rising order\.$/],
    ["two numbers", { height: [128, 256] }, "option.invalid", /^--height/],
    ["zero", { batch: [0, 1, 1] }, "option.invalid", /^--batch 0: it must be more than 0\.$/],
    ["a precision that nothing builds", { precision: "fp8" }, "option.invalid", /--precision fp8 cannot be built/],
    ["an unknown precision", { precision: "fp7" }, "option.invalid", /^--precision fp7: it must be one of fp16, bf16, fp32/],
    ["an unknown component", { components: ["unit"] }, "option.invalid", /^--components unit: it must be one of unet, /],
    ["no components", { components: [] }, "option.invalid", /^--components \[\]: it must not be empty\.$/],
    ["a component it does not have", { components: ["transformer"] }, "checkpoint.incomplete", /has no transformer/],
    ["an unknown option", { keepOnxx: true }, "option.invalid", /^There is no option --keep-onxx\. Leave it out\.$/],
    ["a backend that is not here", { backend: "tensorrt" }, "backend.unavailable", /^TensorRT was not found/],
    ["a level that there is not", { optimizationLevel: 6 }, "option.invalid", /^--optimization-level 6: it must be at most 5\.$/],
    [
      "a capability that is none",
      { computeCapability: ["sm89"] },
      "option.invalid",
      /^--compute-capability sm89: it must be a compute capability/,
    ],
    ["no checkpoint", { checkpoint: "" }, "option.invalid", /^--checkpoint "": it must not be empty\.$/],
  ])("refused: %s", async (_name, options, code, message) => {
    const error = await refused(options);
    expect(error.message).toMatch(message);
    expect(error.code).toBe(code);
  });

  test("options that are no object", async () => {
    expect((await failure(run("export", [] as object))).code).toBe("option.invalid");
    expect((await failure(run("export", undefined as unknown as object))).message).toBe("The options are not an object.");
  });
});

describe("checkpoints", () => {
  /** A folder in diffusers' layout, its weights all zero, with CLIP's whole vocabulary. */
  async function writeFolder(name: keyof typeof folders): Promise<string> {
    const checkpoint = join(folder, `diffusers-${name}`);
    for (const [file, content] of Object.entries(folders[name])) {
      mkdirSync(dirname(join(checkpoint, file)), { recursive: true });
      if (file.endsWith(".safetensors")) await writeSparseFile(join(checkpoint, file), withVocabulary(content as Shapes));
      else writeFileSync(join(checkpoint, file), JSON.stringify(content));
    }
    return checkpoint;
  }

  function withVocabulary(shapes: Shapes): Shapes {
    const isEmbedding = (name: string) => name.endsWith("token_embedding.weight");
    return Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, isEmbedding(name) ? [49408, shape[1]!] : shape]));
  }

  test.each(["sd1", "sd2", "sdxl", "sdxl-refiner"] as const)(
    "a folder of %s in diffusers' layout becomes an engine that runs",
    async (name) => {
      const engines = newEngines();
      const { bundle } = await exported({ checkpoint: await writeFolder(name) });
      expect((await readEngineBundle(bundle)).architecture).toBe(name);
      const options = { engine: bundle, prompt: "a (cat:1.2)", steps: 1, width: 64, height: 64, output: join(folder, `${name}.png`) };
      expect((await run("generate", options, engines)).images).toHaveLength(1);
      await engines.unloadAll();
    },
  );

  test("of a folder, every file is linked", async () => {
    const checkpoint = join(folder, "diffusers-sdxl");
    const { bundle, components } = await exported({ checkpoint });
    expect(components.map(({ component }) => component)).toEqual(COMPONENTS);
    const { weightFiles } = await readEngineBundle(bundle);
    expect(weightFiles.map(({ file }) => file).toSorted()).toEqual([
      "text_encoder-model.safetensors",
      "text_encoder_2-model.safetensors",
      "unet-diffusion_pytorch_model.safetensors",
      "vae-diffusion_pytorch_model.safetensors",
    ]);
    for (const { file } of weightFiles) {
      const source = join(checkpoint, file.replace("-", "/"));
      expect(statSync(join(bundle, file)).ino).toBe(statSync(source).ino);
    }
  });

  const without = (prefix: string) => async () => {
    const path = join(folder, `without-${prefix}safetensors`);
    await rewriteSafetensors(CHECKPOINT, path, (tensor) => (tensor.name.startsWith(prefix) ? undefined : tensor));
    return path;
  };
  const file = (name: string, bytes: string | Uint8Array) => () => {
    writeFileSync(join(folder, name), bytes);
    return Promise.resolve(join(folder, name));
  };

  test.each<[string, () => Promise<string>, string, RegExp]>([
    [
      "without a text encoder",
      without("conditioner.embedders.0."),
      "checkpoint.incomplete",
      /has no text_encoder\b.*--components unet,text_encoder_2,vae_encoder,vae_decoder/,
    ],
    [
      "without a VAE",
      without("first_stage_model."),
      "checkpoint.incomplete",
      /has no vae_encoder and no vae_decoder\..*--components unet,text_encoder,text_encoder_2/,
    ],
    ["of zero bytes", file("empty.safetensors", ""), "file.empty", /is empty \(0 bytes\)/],
    ["a pickle", file("model.ckpt", Buffer.from("80027d71002e", "hex")), "file.pickle", /pickle/],
    ["a zip, as PyTorch writes", file("zip.ckpt", Buffer.from("504b030400000000", "hex")), "file.pickle", /pickle/],
    ["text", file("page.safetensors", "<!DOCTYPE html><html></html>"), "file.invalid", /HTML|web page|not a safetensors/],
    ["a LoRA", () => Promise.resolve(INK), "checkpoint.unsupported", /this is a LoRA, not a checkpoint/],
    ["not there", () => Promise.resolve(join(folder, "none.safetensors")), "file.missing", /does not exist/],
    ["cut off", file("cut.safetensors", readFileSync(CHECKPOINT).subarray(0, 1_000_000)), "file.truncated", /cut off|truncated|ends/],
  ])("refused: one %s", async (_name, make, code, message) => {
    const checkpoint = await make();
    const error = await refused({ checkpoint });
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(error.message).toContain(checkpoint);
  });

  test("what a checkpoint lacks can be left out", async () => {
    const checkpoint = join(folder, "without-first_stage_model.safetensors");
    const components = ["unet", "text_encoder", "text_encoder_2"];
    expect((await exported({ checkpoint, components })).components.map(({ component }) => component)).toEqual(components);
  });

  test("NaN and infinite weights are warned of by name", async () => {
    const checkpoint = join(folder, "nan.safetensors");
    const bad = "model.diffusion_model.out.2.bias";
    const bytes = (length: number) => {
      const words = new Uint16Array(length);
      words.set([0x7e00, 0x7c00, 0xfc00]);
      return new Uint8Array(words.buffer);
    };
    await rewriteSafetensors(CHECKPOINT, checkpoint, (tensor) =>
      tensor.name === bad ? { ...tensor, chunks: () => [bytes(tensor.shape[0]!)] } : tensor,
    );
    const context = recordingContext();
    for (const precision of [undefined, "fp32"]) {
      const { warnings } = await run("export", { checkpoint, output: freshPath(), ...(precision && { precision }) }, undefined, context);
      expect(warnings).toEqual([expect.stringContaining(`${bad} (1 NaN, 2 infinite)`)]);
      expect(context.logged).toContain(`warn: ${warnings[0]}`);
    }
  });
});

describe("the output", () => {
  test("that exists is left as it is", async () => {
    const { bundle } = await exported();
    const before = filesUnder(bundle).map((file) => [file, statSync(join(bundle, file)).mtimeMs]);
    const error = await failure(run("export", { checkpoint: CHECKPOINT, output: bundle }));
    expect(error.code).toBe("file.exists");
    expect(filesUnder(bundle).map((file) => [file, statSync(join(bundle, file)).mtimeMs])).toEqual(before);
  });

  test("that is a bundle can be overwritten", async () => {
    const { bundle } = await exported();
    await run("export", { checkpoint: CHECKPOINT, output: bundle, overwrite: true, components: ["unet"] });
    expect((await readEngineBundle(bundle)).components).toHaveLength(1);
    expect(filesUnder(dirname(bundle)).filter((file) => file.endsWith(".tmp"))).toEqual([]);
  });

  test("that is anything else is not overwritten", async () => {
    const precious = freshPath();
    mkdirSync(precious);
    writeFileSync(join(precious, "thesis.txt"), "years of work");
    const error = await refused({ output: precious, overwrite: true });
    expect(error.message).toContain("is not an engine bundle, so it is not overwritten");

    const { bundle } = await exported();
    await copyFile(INK, join(bundle, "ink.safetensors"));
    expect((await refused({ output: bundle, overwrite: true })).message).toContain(
      "holds ink.safetensors, which is no part of the engine bundle",
    );

    const file = freshPath();
    writeFileSync(file, "a file");
    expect((await refused({ output: file, overwrite: true })).message).toContain("is not a folder");
    expect(readFileSync(file, "utf8")).toBe("a file");
  });

  test.each([
    ["where the system makes no folders", () => "/proc/tensorrt-redux/bundle"],
    ["inside a file", () => join(INK, "bundle")],
  ])("refused: %s", async (_name, output) => {
    const error = await refused({ output: output() });
    expect(error.code).toBe("file.unwritable");
    expect(error.message).toContain(output());
  });

  test("on a disk that is too small: refused before anything is written", async (context) => {
    const disk = mountSmallDisk(context, "1m");
    const error = await failure(run("export", { checkpoint: CHECKPOINT, output: join(disk, "bundle") }));
    expect(error.code).toBe("disk.full");
    expect(error.message).toMatch(/it needs 33\.4 MB, and 1\.05 MB are free/);
    const converted = await failure(run("export", { checkpoint: CHECKPOINT, output: join(disk, "bundle"), precision: "fp32" }));
    expect(converted.code).toBe("disk.full");
    expect(filesUnder(disk)).toEqual([]);
  });

  test("on a disk that is read-only", async (context) => {
    const disk = mountSmallDisk(context, "1m");
    execFileSync("mount", ["-o", "remount,ro", disk]);
    const error = await failure(run("export", { checkpoint: CHECKPOINT, output: join(disk, "bundle") }));
    expect(error.code).toBe("file.unwritable");
    expect(error.message).toContain("read-only");
  });
});

describe("cancelled", () => {
  const stages = [
    "reading the checkpoint",
    "linking weights",
    "converting weights",
    "hashing weights",
    "writing unet",
    "writing vae_decoder",
  ];

  test.each(stages)("in the stage %s, nothing is left", async (stage) => {
    const controller = new AbortController();
    const seen: string[] = [];
    const context = recordingContext({
      signal: controller.signal,
      onProgress: (progress) => {
        seen.push(progress.stage);
        if (progress.stage === stage) controller.abort();
      },
    });
    const before = filesUnder(folder);
    const options = { checkpoint: CHECKPOINT, output: freshPath(), ...(stage.startsWith("converting") && { precision: "fp32" }) };
    expect((await failure(run("export", options, undefined, context))).code).toBe("cancelled");
    expect(seen).toContain(stage);
    expect(filesUnder(folder)).toEqual(before);
  });

  test("before it began", async () => {
    const context = recordingContext({ signal: AbortSignal.abort() });
    expect((await failure(run("export", { checkpoint: CHECKPOINT, output: freshPath() }, undefined, context))).code).toBe("cancelled");
  });
});

test("progress rises from 0 to 1 in every stage", async () => {
  const context = recordingContext();
  await run("export", { checkpoint: CHECKPOINT, output: freshPath() }, undefined, context);
  const hashing = context.stages.filter(({ stage }) => stage === "hashing weights").map(({ fraction }) => fraction!);
  expect(hashing.at(-1)).toBe(1);
  expect(hashing).toEqual(hashing.toSorted((a, b) => a - b));
  for (const { fraction } of context.stages) expect(fraction).toBeLessThanOrEqual(1);
});

describe("what it was exported with", () => {
  test("is told as long as the checkpoint is where it was", async () => {
    const checkpoint = join(folder, "moved.safetensors");
    linkSync(CHECKPOINT, checkpoint);
    const { bundle } = await exported({ checkpoint, components: ["text_encoder"], batch: [1, 2, 3] });
    const { exportOptions } = await describeFile(bundle);
    expect(exportOptions).toMatchObject({ checkpoint, components: ["text_encoder"], batch: [1, 2, 3], backend: "auto" });
    // As given back it is an export's options.
    expect((await exported({ ...exportOptions, overwrite: true })).components.map(({ component }) => component)).toEqual(["text_encoder"]);
    rmSync(checkpoint);
    expect((await describeFile(bundle)).exportOptions).toBeUndefined();
  });
});
