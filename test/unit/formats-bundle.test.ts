import { createHash } from "node:crypto";
import { copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readEngineBundle, writeEngineBundle, type EngineBundle } from "../../src/formats/engine-bundle.ts";
import { componentFileNames, componentFileStem } from "../../src/formats/engine-profile.ts";
import { fingerprint, fingerprintOfFiles } from "../../src/formats/fingerprint.ts";
import { manifestEntry, readWeightManifest, writeWeightManifest } from "../../src/formats/weight-manifest.ts";
import { failure, fixture, safetensorsBytes, temporaryFolder, writeBytes } from "./formats-support.ts";

const folder = await temporaryFolder();

const axis = (min: number, opt: number, max: number) => ({ min, opt, max });
const dynamic = { static: false, batch: axis(1, 1, 4), height: axis(832, 1024, 1920), width: axis(832, 1024, 1920) };
const fixed = { static: true, batch: axis(1, 1, 1), height: axis(1024, 1024, 1024), width: axis(768, 768, 768) };

test("file names are those that other tools look for", () => {
  expect(componentFileNames("unet", dynamic)).toEqual({
    engine: "unet_dyn-b1-4-h832-1920-w832-1920.engine",
    onnx: "unet_dyn-b1-4-h832-1920-w832-1920.onnx",
    weights: "unet_dyn-b1-4-h832-1920-w832-1920_weights.json",
  });
  expect(componentFileStem("unet", fixed)).toBe("unet_stat-b1-h1024-w768");
  expect(componentFileStem("text_encoder", { static: false, batch: axis(1, 2, 8), context: axis(77, 77, 77) })).toBe(
    "text_encoder_dyn-b1-8",
  );
});

const bundle: EngineBundle = {
  formatVersion: 1,
  name: "tiny",
  architecture: "sdxl",
  configuration: { unet: { modelChannels: 32 }, prediction: "epsilon" },
  precision: "fp16",
  backend: { name: "onnxruntime", version: "1.30.0" },
  components: [
    {
      component: "unet",
      onnx: "unet_dyn-b1-4-h832-1920-w832-1920.onnx",
      weights: "unet_dyn-b1-4-h832-1920-w832-1920_weights.json",
      bytes: 7,
      profile: dynamic,
      refittable: [{ name: "to_q.weight", shape: [2, 3], dtype: "F16", file: "parts/model.safetensors", offset: 8, length: 12 }],
    },
  ],
  weightFiles: [{ file: "parts/model.safetensors", bytes: 20 }],
  checkpoint: { name: "tiny.safetensors", bytes: 20, fingerprint: "0".repeat(64) },
  selfTest: [{ component: "unet", outcome: "passed", cosine: 0.99999, refit: true }],
};

/** A folder with the bundle's files, `engine.json` as given. */
async function bundleFolder(name: string, json: unknown): Promise<string> {
  const path = join(folder, name);
  await mkdir(join(path, "parts"), { recursive: true });
  await writeFile(join(path, bundle.components[0]!.onnx!), "1234567");
  await writeFile(join(path, "parts", "model.safetensors"), new Uint8Array(20));
  await writeFile(join(path, "engine.json"), typeof json === "string" ? json : JSON.stringify(json));
  return path;
}

test("a bundle is read back as it was written", async () => {
  const path = await bundleFolder("written", "");
  await writeEngineBundle(path, bundle);
  expect(await readEngineBundle(path)).toEqual(bundle);
});

describe("refuses an engine.json", () => {
  const component = bundle.components[0]!;
  const withComponent = (change: object) => ({ ...bundle, components: [{ ...component, ...change }] });
  const withRefittable = (change: object) => withComponent({ refittable: [{ ...component.refittable[0]!, ...change }] });
  const INSIDE = "must be the name of a file inside the bundle";
  const cases: readonly (readonly [what: string, json: unknown, error: string])[] = [
    ["that is cut off", '{"formatVersion":1', "FILE is not valid JSON. It may have been cut off."],
    ["that is empty", "", "FILE is not valid JSON. It may have been cut off."],
    ["that is no object", "[]", "Invalid input: expected object, received array"],
    ["of a later version", { ...bundle, formatVersion: 2 }, "formatVersion: Invalid input: expected 1"],
    ["without a name", { ...bundle, name: "" }, "name: Too small: expected string to have >=1 characters"],
    ["with a file above the bundle", withComponent({ onnx: "../model.onnx" }), `components.0.onnx: ${INSIDE}`],
    ["with a file above the bundle, in the middle", withComponent({ onnx: "a/../../b" }), `components.0.onnx: ${INSIDE}`],
    ["with an absolute file", withComponent({ weights: "/etc/passwd" }), `components.0.weights: ${INSIDE}`],
    ["with a Windows path", withComponent({ engine: "C:\\engine" }), `components.0.engine: ${INSIDE}`],
    ["with a NUL in a name", { ...bundle, weightFiles: [{ file: "a\0b", bytes: 1 }] }, `weightFiles.0.file: ${INSIDE}`],
    ["with nothing that runs", withComponent({ onnx: undefined }), "components.0: has neither an engine nor an ONNX file"],
    ["with a component twice", { ...bundle, components: [component, component] }, "components: lists unet twice"],
    ["with a negative size", withComponent({ bytes: -1 }), "components.0.bytes: Too small: expected number to be >=0"],
    [
      "with an axis that falls",
      withComponent({ profile: { ...dynamic, batch: axis(4, 1, 1) } }),
      "components.0.profile.batch: must have min ≤ opt ≤ max",
    ],
    [
      "with a static profile that is not",
      withComponent({ profile: { ...dynamic, static: true } }),
      "components.0.profile: is static, so min and max must be equal on every axis",
    ],
    [
      "with a weight of no listed file",
      withRefittable({ file: "other" }),
      'components: unet: "to_q.weight" does not lie in one of the weight files',
    ],
    [
      "with a weight beyond the file's end",
      withRefittable({ offset: 9 }),
      'components: unet: "to_q.weight" does not lie in one of the weight files',
    ],
    [
      "with a weight of the wrong length",
      withRefittable({ length: 11 }),
      "components.0.refittable.0: has a length that its shape and dtype do not give",
    ],
    [
      "with a fingerprint that is none",
      { ...bundle, checkpoint: { ...bundle.checkpoint, fingerprint: "x" } },
      "checkpoint.fingerprint: Invalid string: must match pattern /^[0-9a-f]{64}$/",
    ],
  ];
  test.each(cases)("%s", async (what, json, reason) => {
    const path = await bundleFolder(what, json);
    const message = reason.startsWith("FILE") ? reason : `FILE is not a valid engine.json: ${reason}. Export the checkpoint again.`;
    expect(await failure(readEngineBundle(path), join(path, "engine.json"))).toBe(`bundle.invalid: ${message}`);
  });
});

test("refuses a folder that is no bundle", async () => {
  expect(await failure(readEngineBundle(join(folder, "nowhere")), join(folder, "nowhere"))).toBe(
    "file.missing: FILE is not an engine bundle: it has no engine.json. Export a checkpoint to make one.",
  );
});

test.each([
  ["missing", undefined, "FILE is missing from the engine bundle."],
  ["of another size", "1234", "FILE has 4 bytes instead of 7."],
])("refuses a bundle with a file that is %s", async (what, content, message) => {
  const path = await bundleFolder(`file ${what}`, bundle);
  const onnx = join(path, bundle.components[0]!.onnx!);
  await (content === undefined ? rm(onnx) : writeFile(onnx, content));
  expect(await failure(readEngineBundle(path), onnx)).toBe(`bundle.invalid: ${message} Export the checkpoint again.`);
});

describe("a list of weights", () => {
  test("is read back as it was written, in the published form", async () => {
    const path = join(folder, "unet_weights.json");
    const entry = manifestEntry("F16", [2, 1], "08d6c05a21512a79a1dfeb9d2a8f262f");
    expect(entry).toEqual({ shape: [2, 1], dtype: "FLOAT16", hash: "08d6c05a21512a79a1dfeb9d2a8f262f" });
    const manifest = new Map([
      ["__proto__", entry],
      ["b", entry],
    ]);
    await writeWeightManifest(path, manifest);
    expect(await readWeightManifest(path)).toEqual(manifest);
    expect(JSON.parse(await readFile(path, "utf8"))).toHaveProperty("b", entry);
  });

  test.each([
    ["[]", "it is not a JSON object"],
    ['{"a":{"shape":[1]}}', 'its entry "a" has no shape, dtype and hash'],
  ])("%s is refused", async (json, reason) => {
    const path = await writeBytes(folder, "bad_weights.json", json);
    expect(await failure(readWeightManifest(path), path)).toBe(
      `bundle.invalid: FILE is not a list of weights: ${reason}. Export the checkpoint again.`,
    );
  });
});

describe("the fingerprint", () => {
  const sha256 = (...parts: Uint8Array[]) => parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest("hex");
  const header = { a: { dtype: "U8", shape: [300_000], data_offsets: [0, 300_000] } };
  const data = Uint8Array.from({ length: 300_000 }, (_, i) => i % 251);

  test("covers the header and the file's first and last 64 KiB", async () => {
    const bytes = safetensorsBytes(header, data);
    const path = await writeBytes(folder, "a.safetensors", bytes);
    const headerEnd = bytes.length - data.length;
    const whole = sha256(bytes.subarray(0, headerEnd), bytes.subarray(0, 65_536), bytes.subarray(-65_536));
    expect(await fingerprint(path)).toBe(whole);
    const changes: [place: number, changed: boolean][] = [
      [headerEnd + 100, true],
      [65_535, true],
      [65_536, false],
      [bytes.length - 65_537, false],
      [bytes.length - 65_536, true],
      [bytes.length - 1, true],
    ];
    for (const [place, changed] of changes) {
      const other = Buffer.from(bytes);
      other[place]! ^= 1;
      expect([place, (await fingerprint(await writeBytes(folder, "b.safetensors", other))) !== whole]).toEqual([place, changed]);
    }
  });

  test("of a small file covers it whole", async () => {
    const bytes = await readFile(fixture("version-1.trt_lora"));
    const headerEnd = 8 + Number(bytes.readBigUInt64LE());
    expect(await fingerprint(fixture("version-1.trt_lora"))).toBe(sha256(bytes.subarray(0, headerEnd), bytes, bytes));
  });

  test("of several files does not depend on their order", async () => {
    const [one, two] = [fixture("version-1.trt_lora"), fixture("version-2.trt_lora")];
    const both = [await fingerprint(one), await fingerprint(two)].toSorted();
    expect(await fingerprintOfFiles([one, two])).toBe(sha256(Buffer.from(`${both.join("\n")}\n`)));
    expect(await fingerprintOfFiles([two, one])).toBe(await fingerprintOfFiles([one, two]));
    expect(await fingerprintOfFiles([one])).toBe(await fingerprint(one));
  });

  test("of a file that is none is refused", async () => {
    const path = join(folder, "copy.png");
    await copyFile(fixture("rgb.png"), path);
    expect(await failure(fingerprint(path), path)).toBe("file.invalid: FILE is a PNG image. Give a .safetensors file instead.");
  });
});
