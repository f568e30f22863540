import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { DeltaFile } from "../../src/formats/delta-file.ts";
import { changeTensor, writeDeltaFile } from "../../src/formats/delta-writer.ts";
import { SafetensorsFile } from "../../src/formats/safetensors.ts";
import { failure, fixture, safetensorsBytes, temporaryFolder, writeBytes } from "./formats-support.ts";

const folder = await temporaryFolder();

const metadata = {
  baseEngine: "tiny",
  baseFingerprint: "0".repeat(64),
  architecture: "sdxl",
  loraFile: "ink.safetensors",
  loraStrength: 0.75,
};

test("version 2, written by Python, is read by kind without reading values", async () => {
  const delta = await DeltaFile.open(fixture("version-2.trt_lora"));
  expect(delta.version).toBe(2);
  expect(delta.metadata).toEqual(metadata);
  expect([...delta.changes.keys()].toSorted()).toEqual(["block.conv.weight", "block.ff.weight", "block.to_q.weight"]);
  expect(delta.changes.get("block.to_q.weight")).toMatchObject({
    kind: "lowRank",
    rank: 2,
    up: { shape: [6, 2] },
    down: { shape: [2, 4] },
  });
  expect(delta.changes.get("block.conv.weight")).toMatchObject({ kind: "dense", values: { shape: [3, 3, 1, 1] } });
  const factors = delta.changes.get("block.ff.weight");
  expect(factors?.kind === "factors" && [...factors.factors.keys()].toSorted()).toEqual([
    "hada_w1_a",
    "hada_w1_b",
    "hada_w2_a",
    "hada_w2_b",
  ]);
  const change = delta.changes.get("block.to_q.weight");
  expect(change?.kind === "lowRank" && (await delta.read(change.down)).length).toBe(8);
  await delta.close();
});

test("version 1, as other tools write it, holds full weights", async () => {
  const delta = await DeltaFile.open(fixture("version-1.trt_lora"));
  expect(delta.version).toBe(1);
  expect(delta.metadata).toEqual({ loraFile: "ink.safetensors", loraStrength: 1 });
  expect([...delta.changes]).toMatchObject([["block.to_q.weight", { kind: "fullWeights", values: { shape: [6, 4], dtype: "F16" } }]]);
  await delta.close();
});

test("a written delta has the contract's names and is read back as it was", async () => {
  const path = join(folder, "written.trt_lora");
  const up = Float32Array.from([1, 2, 3, 4, 5, 6]);
  await writeDeltaFile(path, metadata, [
    { name: "a.weight", kind: "lowRank", up: changeTensor(up, [3, 2], "F16"), down: changeTensor(up.subarray(2), [2, 2], "F16") },
    { name: "b.weight", kind: "dense", values: changeTensor(up, [1, 6], "F32") },
    { name: "c.weight", kind: "factors", factors: new Map([["lokr_w1", changeTensor(up, [2, 3], "BF16")]]) },
  ]);
  const file = await SafetensorsFile.open(path);
  expect(Object.fromEntries(file.metadata)).toEqual({
    format: "trt_lora/2",
    base_engine: "tiny",
    base_fingerprint: "0".repeat(64),
    architecture: "sdxl",
    lora_file: "ink.safetensors",
    lora_strength: "0.75",
    num_deltas: "3",
  });
  expect([...file.tensors.keys()].toSorted()).toEqual(["a.weight.lora_down", "a.weight.lora_up", "b.weight", "c.weight.lokr_w1"]);
  await file.close();
  const delta = await DeltaFile.open(path);
  expect(delta.metadata).toEqual(metadata);
  const a = delta.changes.get("a.weight");
  expect(a?.kind === "lowRank" && [a.rank, [...(await delta.read(a.up))], [...(await delta.read(a.down))]]).toEqual([
    2,
    [...up],
    [3, 4, 5, 6],
  ]);
  const b = delta.changes.get("b.weight");
  expect(b?.kind === "dense" && [...(await delta.read(b.values))]).toEqual([...up]);
  await delta.close();
});

describe("refuses a delta", () => {
  const texts = {
    format: "trt_lora/2",
    base_engine: "tiny",
    base_fingerprint: "0",
    architecture: "sdxl",
    lora_file: "ink",
    lora_strength: "1",
    num_deltas: "1",
  };
  const bytes = (tensors: Record<string, number[]>, strings: Record<string, string | undefined> = texts) => {
    let end = 0;
    const entries = Object.entries(tensors).map(([name, shape]) => {
      const begin = end;
      end += 4 * shape.reduce((product, size) => product * size, 1);
      return [name, { dtype: "F32", shape, data_offsets: [begin, end] }];
    });
    return safetensorsBytes({ __metadata__: strings, ...(Object.fromEntries(entries) as object) }, end);
  };
  const AGAIN = "Make the delta again from its LoRA.";
  const pair = { "N.lora_up": [4, 2], "N.lora_down": [2, 3] };
  const cases: readonly (readonly [what: string, bytes: Uint8Array, error: string])[] = [
    ["with up alone", bytes({ "N.lora_up": [4, 2] }), `FILE is not a valid delta: "N" has lora_up without lora_down. ${AGAIN}`],
    ["with down alone", bytes({ "N.lora_down": [2, 4] }), `FILE is not a valid delta: "N" has lora_down without lora_up. ${AGAIN}`],
    [
      "of two ranks",
      bytes({ "N.lora_up": [4, 2], "N.lora_down": [3, 4] }),
      `FILE is not a valid delta: "N" has rank 2 in lora_up and 3 in lora_down. ${AGAIN}`,
    ],
    [
      "whose factors are no matrices",
      bytes({ "N.lora_up": [4, 2], "N.lora_down": [2, 3, 3, 3] }),
      `FILE is not a valid delta: "N" has factors of shape [4, 2] and [2, 3, 3, 3], not two matrices. ${AGAIN}`,
    ],
    [
      "with a dense change and factors for one weight",
      bytes({ N: [4, 3], ...pair }),
      `FILE is not a valid delta: "N" has both a dense change and factors. ${AGAIN}`,
    ],
    [
      "with another number of changes",
      bytes(pair, { ...texts, num_deltas: "2" }),
      `FILE is not a valid delta: it should change 2 weights, but 1 are in it. ${AGAIN}`,
    ],
    ...["base_engine", "base_fingerprint", "architecture", "lora_file", "lora_strength", "num_deltas"].map(
      (key) =>
        [
          `without ${key}`,
          bytes(pair, { ...texts, [key]: undefined }),
          `FILE is not a valid delta: its metadata has no "${key}". ${AGAIN}`,
        ] as const,
    ),
    [
      "with a strength that is no number",
      bytes(pair, { ...texts, lora_strength: "NaN" }),
      `FILE is not a valid delta: its metadata's "lora_strength" is not a number: "NaN". ${AGAIN}`,
    ],
    ["with factors but no format", bytes(pair, {}), `FILE is not a valid delta: its metadata has no "format". ${AGAIN}`],
    [
      "of a later version",
      bytes(pair, { ...texts, format: "trt_lora/3" }),
      "FILE has format trt_lora/3, which is newer than this program. Update it.",
    ],
    [
      "of another format",
      bytes({ N: [1] }, { format: "pt" }),
      `FILE is not a valid delta: its format is "pt" instead of "trt_lora/2". ${AGAIN}`,
    ],
    ["that is empty", bytes({}, {}), `FILE is not a valid delta: it holds no tensor. ${AGAIN}`],
    [
      "that is a LoRA of kohya's family",
      bytes({ "lora_unet_a.lora_up.weight": [1] }, {}),
      "FILE is a LoRA, not a delta. Make a delta of it for your engine first.",
    ],
    [
      "that is a LoRA of PEFT's",
      bytes({ "unet.a.lora_A.weight": [1] }, { format: "pt" }),
      "FILE is a LoRA, not a delta. Make a delta of it for your engine first.",
    ],
  ];
  test.each(cases)("%s", async (_what, content, error) => {
    const path = await writeBytes(folder, "bad.trt_lora", content);
    expect(await failure(DeltaFile.open(path), path)).toBe(`delta.invalid: ${error}`);
  });
});
