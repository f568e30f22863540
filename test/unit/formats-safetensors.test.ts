import { open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { SafetensorsFile } from "../../src/formats/safetensors.ts";
import { failure, fixture, safetensorsBytes, temporaryFolder, writeBytes } from "./formats-support.ts";

const folder = await temporaryFolder();

const f32 = (shape: unknown, begin: unknown, end: unknown) => ({ dtype: "F32", shape, data_offsets: [begin, end] });
const AGAIN = "Download or copy it again.";
const PICKLE =
  "Pickles can run any code while they are read, so they are refused. Get the .safetensors version, or convert it where you trust it:" +
  " torch.load(…, weights_only=True), then safetensors.torch.save_file.";

const bad: readonly (readonly [what: string, bytes: Uint8Array | string, error: string])[] = [
  ["an empty file", "", `file.empty: FILE is empty (0 bytes). ${AGAIN}`],
  ["five bytes", "\x05\0\0\0\0", `file.truncated: FILE has only 5 bytes, too few for a safetensors file. ${AGAIN}`],
  [
    "a header longer than the file",
    safetensorsBytes("{}").subarray(0, 9),
    `file.truncated: FILE is cut off: its header should have 2 bytes, but only 1 follow. ${AGAIN}`,
  ],
  [
    "a header over the limit",
    Buffer.concat([Buffer.from([1, 0xe1, 0xf5, 0x05, 0, 0, 0, 0]), Buffer.from("{}")]),
    "file.invalid: FILE is not a safetensors file: it does not begin with a header.",
  ],
  ["noise", Buffer.alloc(64, 0xa7), "file.invalid: FILE is not a safetensors file: it does not begin with a header."],
  [
    "a zipped pickle",
    Buffer.from("PK\x03\x04\x00\x00\x08\x08archive/data.pkl"),
    `file.pickle: FILE is a zip archive: a PyTorch pickle (.ckpt, .pt, .bin) or other packed file. ${PICKLE}`,
  ],
  [
    "an old pickle",
    Buffer.from("8002 8a0a 6cfc 9c46 f920 6aa8 5019 2e80".replaceAll(" ", ""), "hex"),
    `file.pickle: FILE is a Python pickle (.ckpt, .pt). ${PICKLE}`,
  ],
  ["GGUF", "GGUF\x03\0\0\0\x10\0\0\0", "file.invalid: FILE is a GGUF file (llama.cpp's format). Get the model as .safetensors instead."],
  [
    "a Git LFS pointer",
    "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n",
    "file.invalid: FILE is a Git LFS pointer, not the model itself. Run `git lfs pull` where it was cloned, or download the file.",
  ],
  [
    "a web page",
    "\n<!DOCTYPE html><title>Sign in</title>",
    "file.invalid: FILE is a web page, not a model: the download was answered with a page (a login?). Download it again.",
  ],
  ["an engine", "ptrt\0\0\0\0\xf0", "file.invalid: FILE is a TensorRT engine. Give the checkpoint that it was built from instead."],
  [
    "a header that is no JSON",
    safetensorsBytes('{"a":'),
    `file.invalid: FILE is not a valid safetensors file: its header is not valid JSON. ${AGAIN}`,
  ],
  [
    "a header that is no UTF-8",
    Buffer.from([3, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0xff, 0x7d]),
    `file.invalid: FILE is not a valid safetensors file: its header is not UTF-8 text. ${AGAIN}`,
  ],
  [
    "duplicate keys",
    safetensorsBytes(
      '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\\u0061":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
      8,
    ),
    `file.invalid: FILE is not a valid safetensors file: its header names "a" twice. ${AGAIN}`,
  ],
  [
    "a shape twice in one tensor",
    safetensorsBytes('{"a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}}', 4),
    `file.invalid: FILE is not a valid safetensors file: its header names "shape" twice. ${AGAIN}`,
  ],
  [
    "overlapping tensors",
    safetensorsBytes({ a: f32([2], 0, 8), b: f32([1], 4, 8) }, 8),
    `file.invalid: FILE is not a valid safetensors file: tensors "a" and "b" overlap. ${AGAIN}`,
  ],
  [
    "a tensor beyond the end",
    safetensorsBytes({ a: f32([4], 0, 16) }, 12),
    `file.truncated: FILE is cut off: it should have 79 bytes, but has 75. ${AGAIN}`,
  ],
  [
    "a hole",
    safetensorsBytes({ a: f32([1], 0, 4), b: f32([1], 12, 16) }, 16),
    `file.invalid: FILE is not a valid safetensors file: 8 bytes before tensor "b" belong to no tensor. ${AGAIN}`,
  ],
  [
    "bytes after the last tensor",
    safetensorsBytes({ a: f32([1], 0, 4) }, 9),
    `file.invalid: FILE is not a valid safetensors file: 5 bytes at its end belong to no tensor. ${AGAIN}`,
  ],
  [
    "an end before the beginning",
    safetensorsBytes({ a: f32([1], 4, 0) }, 4),
    `file.invalid: FILE is not a valid safetensors file: tensor "a" ends (byte 0) before it begins (byte 4). ${AGAIN}`,
  ],
  [
    "a shape that does not match its bytes",
    safetensorsBytes({ a: f32([3, 2], 0, 20) }, 20),
    `file.invalid: FILE is not a valid safetensors file: tensor "a" of shape [3, 2] and dtype F32 needs 24 bytes, but 20 are given. ${AGAIN}`,
  ],
  ...[[-1], [1.5], ["1"], 4, null, [1e300], [[1]]].map(
    (shape) =>
      [
        `a shape of ${JSON.stringify(shape)}`,
        safetensorsBytes({ a: f32(shape, 0, 4) }, 4),
        `file.invalid: FILE is not a valid safetensors file: tensor "a" has a shape that is not a list of whole numbers from 0 on. ${AGAIN}`,
      ] as const,
  ),
  ...[[0], [0, 4, 8], [-4, 0], "0,4", [0, 4.5], [0, 2 ** 60]].map(
    (offsets) =>
      [
        `data_offsets of ${JSON.stringify(offsets)}`,
        safetensorsBytes({ a: { dtype: "F32", shape: [1], data_offsets: offsets } }, 4),
        `file.invalid: FILE is not a valid safetensors file: tensor "a" has data_offsets that are not two whole numbers from 0 on. ${AGAIN}`,
      ] as const,
  ),
  [
    "sizes whose product is beyond counting",
    safetensorsBytes({ a: f32([9e15, 9e15, 9e15], 0, 4) }, 4),
    `file.invalid: FILE is not a valid safetensors file: tensor "a" of shape [9000000000000000, 9000000000000000, 9000000000000000] and dtype F32 needs 2.916e+48 bytes, but 4 are given. ${AGAIN}`,
  ],
  [
    "a tensor that is no object",
    safetensorsBytes({ a: [] }),
    `file.invalid: FILE is not a valid safetensors file: tensor "a" is not described by a JSON object. ${AGAIN}`,
  ],
  [
    "a tensor without a dtype",
    safetensorsBytes({ a: {} }),
    `file.invalid: FILE is not a valid safetensors file: tensor "a" has no dtype. ${AGAIN}`,
  ],
  [
    "metadata that are no texts",
    safetensorsBytes({ __metadata__: { steps: 3 } }),
    `file.invalid: FILE is not a valid safetensors file: its __metadata__ "steps" is not a text. ${AGAIN}`,
  ],
  [
    "metadata that are no object",
    safetensorsBytes({ __metadata__: null }),
    `file.invalid: FILE is not a valid safetensors file: its __metadata__ is not a JSON object. ${AGAIN}`,
  ],
  [
    "a tensor called __proto__ that is wrong",
    safetensorsBytes('{"__proto__":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}', 4),
    `file.invalid: FILE is not a valid safetensors file: tensor "__proto__" of shape [2] and dtype F32 needs 8 bytes, but 4 are given. ${AGAIN}`,
  ],
  [
    "JSON nested a million deep",
    safetensorsBytes(`{"a":${"[".repeat(1e6)}${"]".repeat(1e6)}}`),
    `file.invalid: FILE is not a valid safetensors file: tensor "a" is not described by a JSON object. ${AGAIN}`,
  ],
];

test.each(bad)("refuses %s", async (_what, bytes, error) => {
  const path = await writeBytes(folder, "bad.safetensors", typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
  expect(await failure(SafetensorsFile.open(path), path)).toBe(error);
});

test("refuses what is no file", async () => {
  const missing = join(folder, "missing.safetensors");
  expect(await failure(SafetensorsFile.open(missing), missing)).toBe("file.missing: FILE does not exist.");
  expect(await failure(SafetensorsFile.open(folder), folder)).toBe("file.unreadable: FILE is not a file. Give the path of a file.");
});

test("says so when the file becomes shorter while it is open", async () => {
  const path = await writeBytes(folder, "shrinking.safetensors", safetensorsBytes({ a: f32([2], 0, 8) }, 8));
  const file = await SafetensorsFile.open(path);
  const handle = await open(path, "r+");
  await handle.truncate(file.entry("a").offset + 4);
  await handle.close();
  expect(await failure(file.readFloat32("a"), path)).toBe(
    "file.truncated: FILE ended at byte 66 while it was read. Is it still being written?",
  );
  await file.close();
});

describe("a file of the reference implementation", () => {
  test("has every dtype read as its numbers", async () => {
    const file = await SafetensorsFile.open(fixture("every-dtype.safetensors"));
    const numeric = [...file.tensors.keys()].filter((name) => !["C64", "scalar", "nothing", "negative", "BOOL"].includes(name));
    expect(numeric).toHaveLength(14);
    for (const name of numeric) {
      // 100 has too many digits for 8 bits: the nearest numbers are 96 and 104, respectively 96 and 112.
      const hundred = name.startsWith("F8") ? 96 : 100;
      expect([name, ...(await file.readFloat32(name))]).toEqual([name, 0, 1, 2, 3, hundred, 7]);
      expect(file.entry(name).shape).toEqual([2, 3]);
    }
    expect([...(await file.readFloat32("BOOL"))]).toEqual([0, 1, 1, 1, 1, 1]);
    expect([...(await file.readFloat32("negative"))]).toEqual([-0, -1, -2, -3, -100, -7].map((value) => value + 0));
    expect([...(await file.readFloat32("scalar"))]).toEqual([2.5]);
    expect(file.entry("nothing").shape).toEqual([0, 4]);
    expect(await file.readFloat32("nothing")).toHaveLength(0);
    expect(file.metadata).toEqual(
      new Map([
        ["__proto__", "kept"],
        ["title", "Ünïcødé 🎨"],
      ]),
    );
    await file.close();
  });

  test("has complex numbers kept raw", async () => {
    const path = fixture("every-dtype.safetensors");
    const file = await SafetensorsFile.open(path);
    expect(await file.readBytes("C64")).toHaveLength(48);
    expect(await failure(file.readFloat32("C64"), path)).toBe(
      'file.invalid: FILE: tensor "C64" has dtype C64, which cannot be read as numbers here.',
    );
    await file.close();
  });
});

test("an unknown dtype is kept raw and spoils nothing else", async () => {
  const header = { x: { dtype: "F2_NEW", shape: [4], data_offsets: [0, 1] }, a: f32([1], 1, 5) };
  const path = await writeBytes(folder, "unknown.safetensors", safetensorsBytes(header, new Uint8Array([7, 0, 0, 0x80, 0x3f])));
  const file = await SafetensorsFile.open(path);
  expect([...(await file.readBytes("x"))]).toEqual([7]);
  expect([...(await file.readFloat32("a"))]).toEqual([1]);
  expect(await failure(file.readFloat32("x"), path)).toBe(
    'file.invalid: FILE: tensor "x" has dtype F2_NEW, which cannot be read as numbers here.',
  );
  expect(await failure(file.readBytes("y"), path)).toBe('file.invalid: FILE has no tensor "y".');
  await file.close();
});

test("tensors called like members of objects are tensors", async () => {
  const header =
    '{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"constructor":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}';
  const file = await SafetensorsFile.open(await writeBytes(folder, "proto.safetensors", safetensorsBytes(header, new Uint8Array([5, 6]))));
  expect([...(await file.readBytes("__proto__")), ...(await file.readBytes("constructor"))]).toEqual([5, 6]);
  await file.close();
});

test("a tensor of 5 GiB is read at any place, and only there", async () => {
  const length = 5 * 2 ** 30;
  const header = safetensorsBytes({ large: { dtype: "F16", shape: [length / 2], data_offsets: [0, length] } });
  const path = join(folder, "large.safetensors");
  const handle = await open(path, "w");
  await handle.write(header, 0, header.length, 0);
  await handle.write(new Uint8Array([1, 2, 3, 4]), 0, 4, header.length + length - 4);
  await handle.close();
  const file = await SafetensorsFile.open(path);
  expect([...(await file.readRange("large", length - 6, length))]).toEqual([0, 0, 1, 2, 3, 4]);
  await expect(file.readRange("large", length - 1, length + 1)).rejects.toThrow(RangeError);
  await file.close();
});

test("pieces make up the tensor", async () => {
  const path = fixture("every-dtype.safetensors");
  const file = await SafetensorsFile.open(path);
  const pieces: Uint8Array[] = [];
  for await (const piece of file.readPieces("F64", 20)) pieces.push(piece);
  expect(pieces.map((piece) => piece.length)).toEqual([20, 20, 8]);
  const { offset, length } = file.entry("F64");
  expect(Buffer.concat(pieces)).toEqual((await readFile(path)).subarray(offset, offset + length));
  await file.close();
});
