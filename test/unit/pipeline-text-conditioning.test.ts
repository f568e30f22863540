import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { TextEncoderConfiguration } from "../../src/models/configuration.ts";
import { sinusoidalEmbedding, sizeEmbeddings, uncroppedSizes } from "../../src/pipeline/size-embeddings.ts";
import { encodePrompts, type LoadedTextEncoder } from "../../src/pipeline/text-conditioning.ts";

const BASE: TextEncoderConfiguration = {
  component: "text_encoder",
  layout: "transformers",
  prefix: "",
  width: 2,
  layers: 1,
  heads: 1,
  tokens: 77,
  activation: "gelu",
  projectionWidth: 0,
  padToken: 49407,
  hiddenState: "penultimate",
};
const CLIP_L = BASE;
const BIG_G: TextEncoderConfiguration = { ...BASE, component: "text_encoder_2", width: 3, projectionWidth: 4, padToken: 0 };

/** Stands in for a network: each token's hidden state is its id, its position and the encoder's output, in units of their own. */
function encoder(configuration: TextEncoderConfiguration) {
  const { width, tokens, projectionWidth } = configuration;
  const runs: number[][] = [];
  const hidden = (ids: Int32Array, scale: number) => ({
    dims: [1, tokens, width],
    data: Float32Array.from({ length: tokens * width }, (_, index) => value(ids, Math.floor(index / width), index % width) * scale),
  });
  const loaded: LoadedTextEncoder = {
    configuration,
    run: (inputIds, endPositions) => {
      expect(inputIds.dims).toEqual([1, tokens]);
      expect(endPositions.dims).toEqual([1]);
      runs.push([...inputIds.data]);
      const pooled = Float32Array.from({ length: projectionWidth }, (_, index) => inputIds.data[1]! * 10 + endPositions.data[0]! + index);
      return Promise.resolve({
        last_hidden_state: hidden(inputIds.data, 1),
        penultimate_hidden_state: hidden(inputIds.data, 2),
        penultimate_normalized: hidden(inputIds.data, 3),
        ...(projectionWidth > 0 ? { pooled: { dims: [1, projectionWidth], data: pooled } } : {}),
      });
    },
  };
  return { loaded, runs };
}

const value = (ids: Int32Array | readonly number[], token: number, column: number) => ids[token]! + token / 128 + column / 4;
const CAT = 2368;
const DOG = 1929;

describe("text conditioning", () => {
  test("SDXL: negatives first, widths joined, pooled from the second encoder", async () => {
    const [clip, bigG] = [encoder(CLIP_L), encoder(BIG_G)];
    const { context, pooled, negativeRows } = await encodePrompts(
      { positive: ["cat", "dog dog"], negative: "", batch: 2 },
      [clip.loaded, bigG.loaded],
      "sdxl",
    );
    expect(context.dims).toEqual([4, 77, 5]);
    expect(negativeRows).toBe(2);
    const at = (row: number, token: number) => [...context.data.subarray((row * 77 + token) * 5, (row * 77 + token + 1) * 5)];
    const expected = (first: number, second: number, token: number) =>
      Float32Array.from([0, 1, 0, 1, 2], (column, index) => 2 * ((index < 2 ? first : second) + token / 128 + column / 4));
    expect(at(0, 1)).toEqual([...expected(49407, 49407, 1)]);
    expect(at(1, 2)).toEqual([...expected(49407, 0, 2)]);
    expect(at(2, 1)).toEqual([...expected(CAT, CAT, 1)]);
    expect(at(3, 2)).toEqual([...expected(DOG, DOG, 2)]);
    expect(pooled?.dims).toEqual([4, 4]);
    expect([0, 4, 8, 12].map((index) => pooled?.data[index])).toEqual([494071, 494071, CAT * 10 + 2, DOG * 10 + 3]);
    expect(clip.runs).toHaveLength(3);
  });

  test.each([
    ["last", 1],
    ["penultimate", 2],
    ["penultimate_normalized", 3],
  ] as const)("hidden state %s; no guidance gives positives alone; SD1.x has no pooled text", async (hiddenState, scale) => {
    const { loaded } = encoder({ ...CLIP_L, hiddenState });
    const { context, pooled, negativeRows } = await encodePrompts({ positive: "cat", batch: 1 }, [loaded], "sd1");
    expect(context.dims).toEqual([1, 77, 2]);
    expect(context.data[2]).toBe((CAT + 1 / 128) * scale);
    expect(pooled).toBeUndefined();
    expect(negativeRows).toBe(0);
  });

  test("the shorter prompt gets chunks of the empty prompt; pooled text is the first chunk's", async () => {
    const { loaded, runs } = encoder({ ...BIG_G, component: "text_encoder" });
    const long = `${"cat ".repeat(75)} dog`;
    const { context, pooled } = await encodePrompts({ positive: long, negative: "dog", batch: 1 }, [loaded], "sdxl-refiner");
    expect(context.dims).toEqual([2, 154, 3]);
    const id = (row: number, token: number) => Math.floor(context.data[(row * 154 + token) * 3]! / 2);
    expect([id(0, 1), id(0, 77), id(0, 78), id(0, 79)]).toEqual([DOG, 49406, 49407, 0]);
    expect([id(1, 1), id(1, 76), id(1, 77), id(1, 78), id(1, 79)]).toEqual([CAT, 49407, 49406, DOG, 49407]);
    expect([pooled?.data[0], pooled?.data[4]]).toEqual([DOG * 10 + 2, CAT * 10 + 76]);
    expect(runs).toHaveLength(3); // "cat …", "dog" (in both prompts), the empty prompt
  });

  test("emphasis moves a token away from the empty prompt, and no other; pooled text stays", async () => {
    const { loaded } = encoder({ ...BIG_G, component: "text_encoder" });
    const prompts = (positive: string) => encodePrompts({ positive, batch: 1 }, [loaded], "sdxl-refiner");
    const [plain, weighted] = [await prompts("cat dog"), await prompts("cat (dog:1.5)")];
    const different = [...weighted.context.data].flatMap((number, index) => (number === plain.context.data[index] ? [] : [index]));
    expect(different).toEqual([6, 7, 8]);
    const empty = 2 * (0 + 2 / 128);
    expect(weighted.context.data[6]).toBe(empty + (plain.context.data[6]! - empty) * 1.5);
    expect(weighted.pooled).toEqual(plain.pooled);
  });

  test.each([
    ["sdxl", [CLIP_L], "SDXL needs 2 text encoders and the engine bundle has text_encoder"],
    ["sd1", [], "Stable Diffusion 1.x needs 1 text encoder and the engine bundle has none"],
  ] as const)("%s with encoders missing", async (architecture, configurations, message) => {
    const encoders = configurations.map((configuration) => encoder(configuration).loaded);
    await expect(encodePrompts({ positive: "", batch: 1 }, encoders, architecture)).rejects.toThrow(message);
  });

  test("prompts that do not match the batch", async () => {
    await expect(encodePrompts({ positive: ["a", "b"], batch: 3 }, [encoder(CLIP_L).loaded], "sd1")).rejects.toThrow(
      "There are 2 prompts for 3 images",
    );
  });

  test.each([
    [{}, 'no output "penultimate_hidden_state"'],
    [{ penultimate_hidden_state: { dims: [1, 77, 1], data: new Float32Array(77) } }, "penultimate_hidden_state has 77 values, not 77·2"],
  ])("an engine that gives something else", async (outputs, message) => {
    const broken: LoadedTextEncoder = { configuration: CLIP_L, run: () => Promise.resolve(outputs) };
    await expect(encodePrompts({ positive: "a", batch: 1 }, [broken], "sd1")).rejects.toThrow(message);
  });
});

describe("size embeddings", () => {
  const fixture = JSON.parse(readFileSync(new URL("../fixtures/text/sizes.json", import.meta.url), "utf8")) as {
    values: number[];
    embedding: number[][];
  };

  /** PyTorch's vectorised exp is off by a last bit in places, which an angle magnifies by the value. */
  const isEmbeddingOf = (row: number, part: Float32Array) =>
    fixture.embedding[row]!.every((number, at) => Math.abs(number - part[at]!) <= 6e-8 * (fixture.values[row]! + 3));

  test.each(fixture.values.map((number, row) => [number, row]))("of %d equals diffusers' get_timestep_embedding", (number, row) => {
    const embedding = sinusoidalEmbedding([7, number], 256);
    expect(embedding).toHaveLength(512);
    expect(isEmbeddingOf(row, embedding.subarray(256))).toBe(true);
    expect(isEmbeddingOf(row, embedding.subarray(0, 256))).toBe(false);
  });

  const numbers = (data: Float32Array) =>
    Array.from({ length: data.length / 256 }, (_, index) =>
      fixture.values.find((_value, row) => isEmbeddingOf(row, data.subarray(index * 256, (index + 1) * 256))),
    );
  const pooled = { dims: [2, 128], data: Float32Array.from({ length: 256 }, (_, index) => index) };

  test("SDXL: height before width; emoji-xl's y is 128 + 6·256 wide", () => {
    const sizes = { originalHeight: 832, originalWidth: 1216, cropTop: 1, cropLeft: 127, targetHeight: 512, targetWidth: 1024 };
    const y = sizeEmbeddings("sdxl", pooled, sizes, 1);
    expect(y.dims).toEqual([2, 128 + 6 * 256]);
    for (const row of [0, 1]) {
      const data = y.data.subarray(row * 1664, (row + 1) * 1664);
      expect(data.subarray(0, 128)).toEqual(pooled.data.subarray(row * 128, (row + 1) * 128));
      expect(numbers(data.subarray(128))).toEqual([832, 1216, 1, 127, 512, 1024]);
    }
  });

  test("refiner: an aesthetic score in place of the target size, lower for negative prompts", () => {
    const y = sizeEmbeddings("sdxl-refiner", pooled, uncroppedSizes(1024, 832), 1);
    expect(y.dims).toEqual([2, 128 + 5 * 256]);
    expect(numbers(y.data.subarray(128, 1408))).toEqual([1024, 832, 0, 0, 2.5]);
    expect(numbers(y.data.subarray(1408 + 128))).toEqual([1024, 832, 0, 0, 6]);
  });
});
