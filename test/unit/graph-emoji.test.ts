import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SafetensorsFile } from "../../src/formats/safetensors.ts";
import type { Tensor } from "../../src/formats/tensor.ts";
import type { Component } from "../../src/models/architecture.ts";
import type { Checkpoint } from "../../src/models/checkpoint.ts";
import { emitComponent, ONNX_RUNTIME_TARGET, tensorrtTarget, type GraphTarget } from "../../src/models/graph/emit.ts";
import { openCheckpoint } from "../../src/models/open-checkpoint.ts";
import { cosine, openWeights, readFloats, relativeError, runGraph, type Inputs, type WeightFile } from "../graphs/graph-runner.ts";

const DEMO = new URL("../../demo/emoji-xl/", import.meta.url).pathname;
const CHECKPOINT = join(DEMO, "emoji-xl.safetensors");

/** CLIP's tokens: start, "red", "apple" and end, filled up to 77. */
const PROMPT = [49406, 736, 3055, 49407];
const EMPTY = [49406, 49407];
const LENGTH = 77;

interface Encoded {
  readonly hidden: Float32Array;
  readonly pooled: Float32Array | undefined;
}

let checkpoint: Checkpoint;
let weights: WeightFile;
let reference: SafetensorsFile;

beforeAll(async () => {
  checkpoint = await openCheckpoint(CHECKPOINT);
  weights = await openWeights(CHECKPOINT);
  reference = await SafetensorsFile.open(join(DEMO, "reference/base.safetensors"));
});

afterAll(async () => {
  await weights.file.close();
  await reference.close();
});

async function run(component: Component, target: GraphTarget, inputs: Inputs): Promise<Record<string, Float32Array>> {
  const graph = emitComponent(component, checkpoint.components.get(component)!, checkpoint.configuration, target);
  expect(graph.unused).toEqual([]);
  return runGraph(graph, weights, inputs);
}

/** Both prompts in one batch, the empty one first, as diffusers' first UNet call has them. */
async function encode(component: "text_encoder" | "text_encoder_2", padToken: number): Promise<Encoded> {
  const ids = [EMPTY, PROMPT].flatMap((tokens) => [...tokens, ...Array<number>(LENGTH - tokens.length).fill(padToken)]);
  const outputs = await run(component, ONNX_RUNTIME_TARGET, {
    input_ids: { dims: [2, LENGTH], data: Int32Array.from(ids) },
    end_positions: { dims: [2], data: Int32Array.of(EMPTY.length - 1, PROMPT.length - 1) },
  });
  return { hidden: outputs["penultimate_hidden_state"]!, pooled: outputs["pooled"] };
}

function concatenate(left: Float32Array, right: Float32Array, rows: number): Float32Array {
  const [a, b] = [left.length / rows, right.length / rows];
  const joined = new Float32Array(left.length + right.length);
  for (let row = 0; row < rows; row++) {
    joined.set(left.subarray(row * a, (row + 1) * a), row * (a + b));
    joined.set(right.subarray(row * b, (row + 1) * b), row * (a + b) + a);
  }
  return joined;
}

/** Original size, crop and target size of SDXL's `y`: 256 cosines and sines of each number (arXiv:2307.01952). */
function sizes(): Float32Array {
  const half = 128;
  return Float32Array.from({ length: 6 * 2 * half }, (_, i) => {
    const size = [128, 128, 0, 0, 128, 128][Math.floor(i / (2 * half))]!;
    const angle = size * Math.exp((-Math.log(10_000) * (i % half)) / half);
    return i % (2 * half) < half ? Math.cos(angle) : Math.sin(angle);
  });
}

describe("emoji-xl against diffusers", () => {
  let context: Tensor<Float32Array>;
  let y: Tensor<Float32Array>;

  beforeAll(async () => {
    const first = await encode("text_encoder", 49407);
    const second = await encode("text_encoder_2", 0);
    context = { dims: [2, LENGTH, 128], data: concatenate(first.hidden, second.hidden, 2 * LENGTH) };
    const both = Float32Array.from([...sizes(), ...sizes()]);
    y = { dims: [2, 128 + 6 * 256], data: concatenate(second.pooled!, both, 2) };
  });

  test("text encoders", async () => {
    const half = context.data.length / 2;
    expect(relativeError(context.data.subarray(half), await reference.readFloat32("context"))).toBeLessThan(1e-5);
    expect(relativeError(y.data.subarray(1664, 1664 + 128), await reference.readFloat32("pooled"))).toBeLessThan(1e-5);
  });

  test.each([
    ["ONNX Runtime", ONNX_RUNTIME_TARGET, 1 - 1e-10],
    ["TensorRT's operators in float32 over float16", tensorrtTarget("F32", "F16"), 1 - 1e-10],
    ["TensorRT's operators in float16", tensorrtTarget("F16"), 0.9999],
  ])("the UNet's first call, %s", async (_, target, atLeast) => {
    const [step] = await reference.readFloat32("t_first");
    const timesteps = { dims: [2], data: Float32Array.of(step!, step!) };
    const { output } = await run("unet", target, { x: await readFloats(reference, "x_first"), timesteps, context, y });
    expect(cosine(output, await reference.readFloat32("eps_first"))).toBeGreaterThan(atLeast);
  });

  test("the VAE's decoder", async () => {
    const latents = await readFloats(reference, "latents");
    const scaled = { dims: latents.dims, data: latents.data.map((value) => value / checkpoint.configuration.vae!.scale) };
    const { image } = await run("vae_decoder", ONNX_RUNTIME_TARGET, { latents: scaled });
    const pixels = await reference.readBytes("image");
    const area = 128 * 128;
    const differences = Array.from(pixels, (pixel, i) => {
      const value = image![(i % 3) * area + Math.floor(i / 3)]!;
      return Math.abs(Math.round((Math.min(Math.max(value, -1), 1) / 2 + 0.5) * 255) - pixel);
    });
    expect(differences).toHaveLength(area * 3);
    // A value halfway between two bytes may be rounded either way.
    expect(Math.max(...differences)).toBeLessThanOrEqual(1);
    expect(differences.filter((difference) => difference > 0).length).toBeLessThan(differences.length / 1000);
  });
});

test("a component that the checkpoint does not have is refused", () => {
  expect(() => emitComponent("text_encoder_3", new Map(), checkpoint.configuration, ONNX_RUNTIME_TARGET)).toThrow(/no text_encoder_3/);
});
