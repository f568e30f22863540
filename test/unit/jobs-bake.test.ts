import { copyFileSync, existsSync, linkSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { fromFloat32, toFloat32 } from "../../src/formats/numbers.ts";
import { writeSafetensors } from "../../src/formats/safetensors-writer.ts";
import { SafetensorsFile } from "../../src/formats/safetensors.ts";
import { BAKED_KEY } from "../../src/jobs/bake-output.ts";
import { openCheckpoint } from "../../src/models/open-checkpoint.ts";
import FOLDERS from "../fixtures/models/folders.json" with { type: "json" };
import { writeSparseFile } from "../fixtures/models/sparse-file.ts";
import { CHECKPOINT, failure, filesUnder, HUE, INK, recordingContext, rewriteSafetensors, run } from "./jobs-support.ts";
import { mountSmallDisk } from "./small-disk.ts";
import { hashTensors, hasPython, python, readMetadata, readTensors, toolTests } from "./tools-support.ts";

const { folder, engines, fresh, latents } = toolTests();
const STACK = [
  { file: INK, scale: 0.7 },
  { file: HUE, scale: -0.4, textEncoderScale: 0.3 },
];
let output: string;

beforeEach(() => {
  output = fresh("baked");
});

const bake = (options: object) => run("bake", { checkpoint: CHECKPOINT, output, ...options }, engines);

describe("a baked checkpoint", () => {
  test("keeps the order, names, dtypes, shapes and metadata, and every byte that no LoRA touches", async () => {
    const { changed, loras, file, bytes } = await bake({ lora: [STACK[0]] });
    expect([changed, loras[0]!.matched, file, bytes]).toEqual([192, 192, output, readFileSync(output).length]);
    const [before, after] = [await readTensors(CHECKPOINT), await readTensors(output)];
    expect([...after.keys()]).toEqual([...before.keys()]);
    let same = 0;
    for (const [name, { dtype, shape, bytes: old }] of before) {
      expect([after.get(name)!.dtype, after.get(name)!.shape]).toEqual([dtype, shape]);
      if (after.get(name)!.bytes.equals(old)) same++;
    }
    expect(same).toBe(before.size - changed);
    const { [BAKED_KEY]: baked, ...metadata } = await readMetadata(output);
    expect(metadata).toEqual(await readMetadata(CHECKPOINT));
    expect(JSON.parse(baked!)).toEqual([{ file: "ink.safetensors", scale: 0.7, base: "emoji-xl" }]);
  });

  test("says what was baked before, too", async () => {
    await bake({ lora: [STACK[0]] });
    const first = output;
    output = fresh("baked");
    await bake({ checkpoint: first, lora: [STACK[1]] });
    const files = (JSON.parse((await readMetadata(output))[BAKED_KEY]!) as { file: string }[]).map((each) => each.file);
    expect(files).toEqual(["ink.safetensors", "opposite-hue.safetensors"]);
  });

  test("gives the picture of the stack, but for one rounding of each weight", async () => {
    const engine = join(folder, "fp16");
    await run("export", { checkpoint: CHECKPOINT, output: engine }, engines);
    await bake({ lora: STACK });
    const baked = join(folder, "fp16-baked");
    await run("export", { checkpoint: output, output: baked }, engines);
    // The engine computes in fp32 on unrounded sums; the file has room for fp16.
    const [stack, file] = [await latents(engine, STACK), await latents(baked, [])];
    const difference = Math.max(...stack.map((value, i) => Math.abs(value - file[i]!)));
    expect(difference / Math.max(...stack.map(Math.abs))).toBeLessThan(2e-2);
  });

  test("of fp32 gives the very picture of the stack", async () => {
    const wide = join(folder, "wide.safetensors");
    await rewriteSafetensors(CHECKPOINT, wide, async (tensor) => {
      if (tensor.dtype !== "F16") return tensor;
      const chunks: Uint8Array[] = [];
      for await (const chunk of tensor.chunks()) chunks.push(chunk);
      return { ...tensor, dtype: "F32", chunks: () => [fromFloat32(toFloat32(Buffer.concat(chunks), "F16"), "F32")] };
    });
    const [engine, baked] = [join(folder, "fp32"), join(folder, "fp32-baked")];
    await run("export", { checkpoint: wide, output: engine }, engines);
    await bake({ checkpoint: wide, lora: STACK });
    await run("export", { checkpoint: output, output: baked }, engines);
    const expected = await latents(engine, STACK);
    expect(await latents(baked, [])).toEqual(expected);
    expect(await latents(engine, [])).not.toEqual(expected);
  });

  test("of an engine bundle is that of its checkpoint", async () => {
    const engine = join(folder, "bundle");
    await run("export", { checkpoint: CHECKPOINT, output: engine }, engines);
    await bake({ lora: STACK });
    const expected = await hashTensors(output);
    output = fresh("baked");
    await bake({ checkpoint: engine, lora: STACK });
    expect(await hashTensors(output)).toEqual(expected);
  });

  test("with a delta is that with its LoRA", async () => {
    const engine = join(folder, "for-delta");
    await run("export", { checkpoint: CHECKPOINT, output: engine }, engines);
    const { file } = await run("delta", { engine, lora: INK, output: join(folder, "ink.trt_lora") }, engines);
    await bake({ lora: [{ file: INK, scale: 0.5 }] });
    const expected = await hashTensors(output);
    output = fresh("baked");
    await bake({ lora: [{ file, scale: 0.5 }] });
    expect(await hashTensors(output)).toEqual(expected);
  });

  test("at scale 0 has the checkpoint's tensors", async () => {
    expect((await bake({ lora: [{ file: INK, scale: 0 }] })).changed).toBe(0);
    expect(await hashTensors(output)).toEqual(await hashTensors(CHECKPOINT));
  });

  test("of a LoRA twice is that at the sum of the scales", async () => {
    await bake({
      lora: [
        { file: INK, scale: 0.25 },
        { file: INK, scale: 0.5 },
      ],
    });
    const twice = await hashTensors(output);
    output = fresh("baked");
    await bake({ lora: [{ file: INK, scale: 0.75 }] });
    expect(await hashTensors(output)).toEqual(twice);
  });

  test.skipIf(!hasPython)("is what numpy computes, and opens in Python", async () => {
    await bake({ lora: [{ file: INK, scale: 0.7 }] });
    const script = `
import json, sys, numpy as np
from safetensors.numpy import load_file
base, lora, baked = (load_file(path) for path in sys.argv[1:4])
checked = worst = 0
for key in lora:
    if not key.endswith(".lora_up.weight"): continue
    module = key[:-len(".lora_up.weight")]
    name = next((n for n in base if n.endswith(".weight") and "lora_unet_" + n[len("model.diffusion_model."):-7].replace(".", "_") == module), None)
    if name is None: continue
    up, down = lora[key].astype(np.float64), lora[module + ".lora_down.weight"].astype(np.float64)
    scale = float(lora[module + ".alpha"]) / down.shape[0]
    change = 0.7 * scale * (up.reshape(up.shape[0], -1) @ down.reshape(down.shape[0], -1)).reshape(base[name].shape)
    wide = base[name].astype(np.float64) + change
    # One rounding: half a unit in the last place, and what sums in fp32 lose.
    unit = np.spacing(np.abs(wide).astype(np.float16)).astype(np.float64)
    beyond = np.abs(baked[name].astype(np.float64) - wide) - unit / 2
    worst = max(worst, float(beyond.max() / (np.abs(base[name]).max() + np.abs(change).max())))
    checked += 1
print(json.dumps([checked, worst]))`;
    const [checked, worst] = python(script, CHECKPOINT, INK, output) as [number, number];
    expect(checked).toBeGreaterThan(100);
    expect(worst).toBeLessThan(1e-6);
  });
});

describe("is refused, and nothing is left behind:", () => {
  const cases: readonly (readonly [string, () => object | Promise<object>, string, RegExp])[] = [
    ["no LoRA", () => ({ lora: [] }), "option.invalid", /--lora/],
    ["another extension", () => ({ lora: STACK, output: join(folder, "x.ckpt") }), "option.invalid", /ends in \.safetensors/],
    ["the checkpoint itself", () => ({ lora: STACK, output: CHECKPOINT, overwrite: true }), "option.invalid", /one of the files/],
    [
      "a file that is there",
      () => {
        writeFileSync(output, "mine");
        return { lora: STACK };
      },
      "file.exists",
      /exists already/,
    ],
    ["no folder for it", () => ({ lora: STACK, output: join(folder, "none", "x.safetensors") }), "file.unwritable", /folder/],
    ["no checkpoint", () => ({ checkpoint: join(folder, "none.safetensors"), lora: STACK }), "file.missing", /does not exist/],
    ["a LoRA as the checkpoint", () => ({ checkpoint: INK, lora: STACK }), "checkpoint.unsupported", /a LoRA/],
    [
      "a checkpoint that is cut off",
      () => {
        const path = join(folder, "cut.safetensors");
        copyFileSync(CHECKPOINT, path);
        truncateSync(path, 1_000_000);
        return { checkpoint: path, lora: STACK };
      },
      "file.truncated",
      /cut off/,
    ],
    ["a LoRA that is not there", () => ({ lora: [{ file: join(folder, "no.safetensors") }] }), "file.missing", /no\.safetensors/],
    ["a scale that makes fp16 overflow", () => ({ lora: [{ file: INK, scale: 1e9 }] }), "option.invalid", /no finite number in F16/],
    [
      "a weight in a dtype that cannot be written",
      async () => {
        const path = join(folder, "wide-f64.safetensors");
        await rewriteSafetensors(CHECKPOINT, path, async (tensor) => {
          if (tensor.dtype !== "F16" || !tensor.name.endsWith("attn1.to_q.weight")) return tensor;
          const size = tensor.shape.reduce((product, side) => product * side, 1);
          return { ...tensor, dtype: "F64", chunks: () => [new Uint8Array(size * 8)] };
        });
        return { checkpoint: path, lora: STACK };
      },
      "checkpoint.unsupported",
      /as F64/,
    ],
    [
      "a delta of version 1 whose weights are all NaN",
      async () => {
        const path = join(folder, "nan.trt_lora");
        const name = "model.diffusion_model.input_blocks.0.0.weight";
        await rewriteSafetensors(CHECKPOINT, path, (tensor) =>
          tensor.name === name
            ? { ...tensor, chunks: () => [new Uint8Array(tensor.shape.reduce((product, side) => product * side, 2)).fill(255)] }
            : undefined,
        );
        return { lora: [{ file: path }] };
      },
      "lora.noChange",
      /would change nothing/,
    ],
  ];

  test.each(cases)("%s", async (_name, options, code, message) => {
    const given = await options();
    const before = filesUnder(folder);
    const error = await failure(bake(given));
    expect(error.message).toMatch(message);
    expect(error.code).toBe(code);
    expect(filesUnder(folder)).toEqual(before);
  });

  test.each(["reading the LoRAs", "writing the checkpoint"])("cancelled while %s", async (stage) => {
    const controller = new AbortController();
    const context = recordingContext({
      signal: controller.signal,
      onProgress: (progress) => void (progress.stage === stage && controller.abort()),
    });
    const before = filesUnder(folder);
    const error = await failure(run("bake", { checkpoint: CHECKPOINT, lora: STACK, output }, engines, context));
    expect(error.code).toBe("cancelled");
    expect(filesUnder(folder)).toEqual(before);
  });
});

describe("a diffusers folder", () => {
  /** One of the narrow models of make_models.py, all zeros. */
  async function writeFolder(architecture: keyof typeof FOLDERS): Promise<string> {
    const path = fresh(architecture);
    for (const [name, content] of Object.entries(FOLDERS[architecture])) {
      mkdirSync(dirname(join(path, name)), { recursive: true });
      if (name.endsWith(".safetensors")) await writeSparseFile(join(path, name), content);
      else writeFileSync(join(path, name), JSON.stringify(content));
    }
    return path;
  }

  test("of SD1.x becomes a single file, its VAE's attention 1×1 convolutions", async () => {
    const checkpoint = await writeFolder("sd1");
    const before = await openCheckpoint(checkpoint);
    const weight = "cond_stage_model.transformer.text_model.encoder.layers.0.mlp.fc1.weight";
    const [rows, columns] = before.components.get("text_encoder")!.get(weight)!.shape as [number, number];
    const lora = fresh("te");
    const factor = (name: string, shape: readonly number[], value: number) => ({
      name: `lora_te_text_model_encoder_layers_0_mlp_fc1.${name}.weight`,
      dtype: "F32",
      shape,
      chunks: () => [fromFloat32(new Float32Array(shape[0]! * shape[1]!).fill(value), "F32")],
    });
    await writeSafetensors(lora, [factor("lora_up", [rows, 1], 0.5), factor("lora_down", [1, columns], 3)], {});
    const { changed } = await bake({ checkpoint, lora: [{ file: lora, scale: 2 }] });
    expect(changed).toBe(1);
    const tensors = await readTensors(output);
    expect(new Set(toFloat32(tensors.get(weight)!.bytes, "F32"))).toEqual(new Set([3]));
    expect(tensors.get("first_stage_model.decoder.mid.attn_1.q.weight")!.shape.slice(2)).toEqual([1, 1]);
    const names = [...before.components.values()].flatMap((table) => [...table.keys()]);
    expect([...tensors.keys()].toSorted()).toEqual([...new Set(names)].toSorted());
    expect(JSON.parse((await readMetadata(output))[BAKED_KEY]!)).toMatchObject([{ scale: 2 }]);
  });

  test.each(["sd2", "sdxl"] as const)("of %s is refused: its text encoder has other tensors in a single file", async (architecture) => {
    const checkpoint = await writeFolder(architecture);
    const error = await failure(bake({ checkpoint, lora: STACK }));
    expect([error.code, error.message]).toEqual(["checkpoint.unsupported", expect.stringMatching(/Convert the folder to a single file/)]);
    expect(existsSync(output)).toBe(false);
  });
});

test("on a full disk nothing is left behind", async (context) => {
  const disk = mountSmallDisk(context, "1m");
  const error = await failure(bake({ lora: [STACK[0]], output: join(disk, "x.safetensors") }));
  expect(error.code).toBe("disk.full");
  expect(filesUnder(disk)).toEqual([]);
});

test("a file that is there is replaced where that is allowed; a hard link of the source stays whole", async () => {
  linkSync(CHECKPOINT, output);
  await bake({ lora: [STACK[0]], overwrite: true });
  const source = await SafetensorsFile.open(CHECKPOINT);
  await source.close();
  expect(source.metadata.has(BAKED_KEY)).toBe(false);
  expect((await readMetadata(output))[BAKED_KEY]).toBeDefined();
});
