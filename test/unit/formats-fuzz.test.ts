import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { expect, test } from "vitest";
import { DeltaFile } from "../../src/formats/delta-file.ts";
import { readEngineBundle } from "../../src/formats/engine-bundle.ts";
import { UserError } from "../../src/formats/errors.ts";
import { readPng, readPngParameters } from "../../src/formats/png.ts";
import { SafetensorsFile } from "../../src/formats/safetensors.ts";
import { fixture, randomGenerator, temporaryFolder } from "./formats-support.ts";

/*
 * Readers under mutated files: a reader may read the file or refuse it with a UserError; anything else is a defect. The seed
 * and the number of the case make a failing one again.
 */

const SEED = 20_261_123;
const CASES = 10_000;
const MEMORY = 1024 ** 3;

const folder = await temporaryFolder();

type Random = (below: number) => number;

/** Values that readers trip over. */
const HOSTILE: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  1,
  0.5,
  1e308,
  2 ** 31,
  2 ** 53,
  2 ** 63,
  "",
  "F32",
  "F16",
  "F4",
  "__proto__",
  "../x",
  "/",
  "\0",
  "9".repeat(400),
  "\ud800",
  [],
  [[]],
  [0, 0],
  [-1, 4],
  [2 ** 53, 2 ** 53],
  {},
  { length: -1 },
  { toString: 1 },
  { __proto__: null },
  [null],
];

const HOSTILE_KEYS = ["__proto__", "constructor", "__metadata__", "", "a", "\0", "\ud800", "\u2028", "0", "9".repeat(400)];

/** An assignment would set the prototype where the key is "__proto__". */
function setOwn(object: object, key: string, value: unknown): void {
  Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
}

/** Changes one to four bytes, or cuts, repeats or moves a piece. */
function mutateBytes(bytes: Buffer, random: Random): Buffer {
  const copy = Buffer.from(bytes);
  const from = random(copy.length);
  const to = from + random(Math.min(64, copy.length - from)) + 1;
  switch (random(6)) {
    case 0:
      return copy.subarray(0, from);
    case 1:
      return Buffer.concat([copy.subarray(0, to), copy.subarray(from)]);
    case 2:
      return Buffer.concat([copy.subarray(0, from), copy.subarray(to)]);
    default:
      for (let i = random(4); i >= 0; i--)
        copy[random(copy.length)] = random(3) === 0 ? [0, 0xff, 0x22, 0x7b, 0x7d, 0x2c][random(6)]! : random(256);
      return copy;
  }
}

/** Replaces, removes or adds a value somewhere in a JSON document. */
function mutateJson(document: unknown, random: Random): unknown {
  const copy = structuredClone(document);
  let place = copy as Record<string, unknown>;
  for (;;) {
    const keys = Object.keys(place);
    const key = keys[random(keys.length)];
    const next = key === undefined ? undefined : place[key];
    if (key !== undefined && typeof next === "object" && next !== null && random(4) > 0) {
      place = next as Record<string, unknown>;
      continue;
    }
    if (key !== undefined && random(8) === 0) delete place[key];
    else
      setOwn(place, key !== undefined && random(4) > 0 ? key : HOSTILE_KEYS[random(HOSTILE_KEYS.length)]!, HOSTILE[random(HOSTILE.length)]);
    return copy;
  }
}

/** Mutated safetensors files: the header's JSON, its text, or any byte of the file. */
function mutateSafetensors(original: Buffer, random: Random): Buffer {
  if (random(3) === 0) return mutateBytes(original, random);
  const end = 8 + Number(original.readBigUInt64LE());
  const text = original.subarray(8, end);
  const header = random(2) === 0 ? mutateBytes(text, random) : Buffer.from(JSON.stringify(mutateJson(JSON.parse(text.toString()), random)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, original.subarray(end)]);
}

/** Mutated PNG files; half of them with the checksums put right, so that what is behind them is reached. */
function mutatePng(original: Buffer, random: Random): Buffer {
  const bytes = mutateBytes(original, random);
  if (random(2) === 0) return bytes;
  for (let offset = 8; offset + 12 <= bytes.length;) {
    const length = bytes.readUInt32BE(offset);
    if (offset + 12 + length > bytes.length) break;
    bytes.writeUInt32BE(crc32(bytes.subarray(offset + 4, offset + 8 + length)), offset + 8 + length);
    offset += 12 + length;
  }
  return bytes;
}

async function readSafetensors(path: string): Promise<void> {
  const file = await SafetensorsFile.open(path);
  try {
    for (const name of file.tensors.keys()) await file.readFloat32(name).catch(refused);
  } finally {
    await file.close();
  }
}

async function readDelta(path: string): Promise<void> {
  const delta = await DeltaFile.open(path);
  await delta.close();
}

async function readPicture(path: string): Promise<void> {
  await readPngParameters(path).catch(refused);
  const { width, height, data } = await readPng(path);
  expect(data).toHaveLength(width * height * 3);
}

function refused(error: unknown): void {
  if (!(error instanceof UserError)) throw error;
  expect(error.message).not.toContain("\n");
}

/** Overwrites the same file: faster than a new one for every case. */
function overwrite(path: string, bytes: Buffer): void {
  const file = openSync(path, "w");
  ftruncateSync(file, 0);
  writeSync(file, bytes, 0, bytes.length, 0);
  closeSync(file);
}

/** How many of the mutated files were read, not refused. */
async function fuzz(
  path: string,
  originals: readonly Buffer[],
  mutate: (original: Buffer, random: Random) => Buffer,
  read: () => Promise<void>,
): Promise<number> {
  let accepted = 0;
  for (let number = 0; number < CASES; number++) {
    const random = randomGenerator(SEED + number);
    overwrite(path, mutate(originals[number % originals.length]!, random));
    try {
      await read();
      accepted++;
    } catch (error) {
      if (!(error instanceof UserError)) throw new Error(`Case ${number} of seed ${SEED} ended in a defect.`, { cause: error });
      refused(error);
    }
  }
  return accepted;
}

/** Mutations that do not matter are read, all others refused: a run that sees one kind alone tests nothing. */
function expectSound(accepted: number): void {
  expect(accepted).toBeGreaterThan(CASES / 1000);
  expect(accepted).toBeLessThan(CASES * 0.9);
  // In kilobytes; of the whole process from its start on.
  expect(process.resourceUsage().maxRSS * 1024).toBeLessThan(MEMORY);
}

test("mutated safetensors files", { timeout: 120_000 }, async () => {
  const path = join(folder, "a.safetensors");
  const accepted = await fuzz(path, [readFileSync(fixture("every-dtype.safetensors"))], mutateSafetensors, () => readSafetensors(path));
  expectSound(accepted);
});

test("mutated deltas", { timeout: 120_000 }, async () => {
  const path = join(folder, "a.trt_lora");
  const originals = [readFileSync(fixture("version-1.trt_lora")), readFileSync(fixture("version-2.trt_lora"))];
  const accepted = await fuzz(path, originals, mutateSafetensors, () => readDelta(path));
  expectSound(accepted);
});

test("mutated engine bundles", { timeout: 120_000 }, async () => {
  const bundle = join(folder, "bundle");
  await mkdir(bundle);
  await writeFile(join(bundle, "model.onnx"), "1234567");
  await writeFile(join(bundle, "model.safetensors"), new Uint8Array(20));
  const axis = { min: 1, opt: 1, max: 4 };
  const original = {
    formatVersion: 1,
    name: "tiny",
    architecture: "sdxl",
    configuration: { unet: { modelChannels: 32 }, prediction: "epsilon" },
    precision: "fp16",
    backend: { name: "onnxruntime", version: "1.30.0" },
    components: [
      {
        component: "unet",
        onnx: "model.onnx",
        weights: "weights.json",
        bytes: 7,
        profile: { static: false, batch: axis, height: axis },
        refittable: [{ name: "a", shape: [2, 3], dtype: "F16", file: "model.safetensors", offset: 8, length: 12 }],
      },
    ],
    weightFiles: [{ file: "model.safetensors", bytes: 20 }],
    checkpoint: { name: "tiny.safetensors", bytes: 20, fingerprint: "0".repeat(64) },
  };
  const mutate = (bytes: Buffer, random: Random) =>
    random(2) === 0 ? mutateBytes(bytes, random) : Buffer.from(JSON.stringify(mutateJson(original, random)));
  const accepted = await fuzz(join(bundle, "engine.json"), [Buffer.from(JSON.stringify(original))], mutate, () =>
    readEngineBundle(bundle).then(() => undefined),
  );
  expectSound(accepted);
});

test("mutated pictures", { timeout: 120_000 }, async () => {
  const path = join(folder, "a.png");
  const names = ["rgb", "palette", "bilevel", "grey-16", "rgba", "text-latin1-compressed", "text-unicode-compressed"];
  const accepted = await fuzz(
    path,
    names.map((name) => readFileSync(fixture(`${name}.png`))),
    mutatePng,
    () => readPicture(path),
  );
  expectSound(accepted);
});
