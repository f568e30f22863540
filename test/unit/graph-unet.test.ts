import { describe, expect, test } from "vitest";
import { ONNX_RUNTIME_TARGET, tensorrtTarget, type FloatDtype, type GraphTarget } from "../../src/models/graph/emit.ts";
import { emitUNet, type UNetDescription } from "../../src/models/graph/unet.ts";
import { cosine, readFloats, relativeError, runGraph, type Inputs } from "../graphs/graph-runner.ts";
import { openFixture, writeKnownWeights, type Fixture } from "../graphs/known-weights.ts";

type UNetFixture = Fixture<UNetDescription>;

const ALL = ["unet-sd1", "unet-sd2", "unet-sdxl", "unet-refiner", "unet-inpainting"];
/** 9×10 is not divisible by the downsampling: 72×80 pixels. */
const SIZES = ["16x16", "9x10"];

async function inputsOf({ file }: UNetFixture, size: string): Promise<Inputs> {
  const names = ["timesteps", "context", ...(file.tensors.has("y") ? ["y"] : [])];
  const inputs: Record<string, Inputs[string]> = { x: await readFloats(file, `x_${size}`) };
  for (const name of names) inputs[name] = await readFloats(file, name);
  return inputs;
}

type Shape = readonly number[];

async function run(name: string, size: string, source: FloatDtype, target: GraphTarget, stored = (shape: Shape): Shape => shape) {
  const fixture = await openFixture<UNetDescription>(name);
  const shapes = new Map([...fixture.shapes].map(([weight, shape]) => [weight, stored(shape)]));
  const weights = await writeKnownWeights(shapes, source);
  const graph = emitUNet(weights.table, fixture.description, target);
  const { output } = await runGraph(graph, weights, await inputsOf(fixture, size));
  return { graph, output, expected: (await readFloats(fixture.file, `output_${size}`)).data };
}

describe("UNet graphs compute what diffusers computes", () => {
  test.each(ALL.flatMap((name) => SIZES.map((size) => [name, size] as const)))("%s, latents %s, ONNX Runtime", async (name, size) => {
    const { graph, output, expected } = await run(name, size, "F32", ONNX_RUNTIME_TARGET);
    expect(relativeError(output, expected)).toBeLessThan(1e-5);
    expect(graph.unused).toEqual([]);
  });

  test.each(["F16", "BF16"] as const)("unet-sdxl from %s weights", async (source) => {
    const { output, expected } = await run("unet-sdxl", "16x16", source, ONNX_RUNTIME_TARGET);
    expect(relativeError(output, expected)).toBeLessThan(1e-5);
  });

  test.each([
    ["unet-sd1", "1×1 convolutions stored as matrices", (shape: Shape) => (shape[2] === 1 ? shape.slice(0, 2) : shape)],
    ["unet-sd2", "matrices stored as 1×1 convolutions", (shape: Shape) => (shape.length === 2 ? [...shape, 1, 1] : shape)],
  ] as const)("%s, %s", async (name, _, stored) => {
    const { output, expected } = await run(name, "9x10", "F16", ONNX_RUNTIME_TARGET, stored);
    expect(relativeError(output, expected)).toBeLessThan(1e-5);
  });

  test.each(ALL)("%s, TensorRT's operators in float32", async (name) => {
    const { output, expected } = await run(name, "9x10", "F32", tensorrtTarget("F32"));
    expect(relativeError(output, expected)).toBeLessThan(1e-5);
  });

  test.each(ALL)("%s, TensorRT's operators in float16", async (name) => {
    const { output, expected } = await run(name, "16x16", "F16", tensorrtTarget("F16"));
    expect(cosine(output, expected)).toBeGreaterThan(0.999);
  });
});

describe("UNet graphs", () => {
  const shapesOf = async (name: string) => {
    const fixture = await openFixture<UNetDescription>(name);
    return { fixture, weights: await writeKnownWeights(fixture.shapes, "F16") };
  };

  test("every weight, bias and normalization is refittable", async () => {
    const { fixture, weights } = await shapesOf("unet-sdxl");
    const expected = [...fixture.shapes.keys()];
    const onnxruntime = emitUNet(weights.table, fixture.description, ONNX_RUNTIME_TARGET);
    const tensorrt = emitUNet(weights.table, fixture.description, tensorrtTarget("F16"));
    expect(onnxruntime.refittable.toSorted()).toEqual(expected.toSorted());
    expect(tensorrt.refittable).toEqual(onnxruntime.refittable);
    expect([...onnxruntime.weights.values()].filter((weight) => weight.fed).map((weight) => weight.name)).toEqual(onnxruntime.refittable);
    expect([...tensorrt.weights.values()].filter((weight) => weight.fed)).toEqual([]);
  });

  test("the types of inputs and outputs follow the target; time steps stay float32", async () => {
    const { fixture, weights } = await shapesOf("unet-sdxl");
    const { inputs, outputs } = emitUNet(weights.table, fixture.description, tensorrtTarget("BF16"));
    expect(inputs.map(({ name, dtype }) => [name, dtype])).toEqual([
      ["x", "BF16"],
      ["timesteps", "F32"],
      ["context", "BF16"],
      ["y", "BF16"],
    ]);
    expect(outputs).toEqual([{ name: "output", dtype: "BF16", shape: ["batch", 4, "height", "width"] }]);
  });

  test("TensorRT's graphs hold operators of the standard only", async () => {
    const { fixture, weights } = await shapesOf("unet-sd1");
    const { nodes } = emitUNet(weights.table, fixture.description, tensorrtTarget("F16"));
    expect(new Set(nodes.map((node) => node.domain))).toEqual(new Set([""]));
    expect(nodes.map((node) => node.operator)).not.toContain("GroupNormalization");
  });

  test("a weight that no part of the network uses is reported", async () => {
    const { fixture, weights } = await shapesOf("unet-sd2");
    const [first] = weights.table.values();
    const table = new Map([
      ...weights.table,
      ["model.diffusion_model.adapter.weight", { ...first!, name: "model.diffusion_model.adapter.weight" }],
    ]);
    expect(emitUNet(table, fixture.description, ONNX_RUNTIME_TARGET).unused).toEqual(["model.diffusion_model.adapter.weight"]);
  });

  test.each([
    ["model.diffusion_model.out.2.bias", null],
    ["model.diffusion_model.out.0.bias", "checkpoint.incomplete"],
    ["model.diffusion_model.middle_block.0.in_layers.2.weight", "checkpoint.incomplete"],
    ["model.diffusion_model.time_embed.0.weight", "checkpoint.incomplete"],
  ])("without %s: %s", async (missing, code) => {
    const { fixture, weights } = await shapesOf("unet-sd2");
    const table = new Map([...weights.table].filter(([name]) => name !== missing));
    const emit = () => emitUNet(table, fixture.description, ONNX_RUNTIME_TARGET);
    if (code === null) expect(emit().weights.has(missing)).toBe(false);
    else expect(emit).toThrow(expect.objectContaining({ code, message: expect.stringContaining(missing) as string }));
  });

  test("a weight of a type that is no float is refused by name", async () => {
    const { fixture, weights } = await shapesOf("unet-sd2");
    const name = "model.diffusion_model.out.0.weight";
    const table = new Map([...weights.table, [name, { ...weights.table.get(name)!, dtype: "F4" }]]);
    expect(() => emitUNet(table, fixture.description, ONNX_RUNTIME_TARGET)).toThrow(/out\.0\.weight.*F4/);
  });
});
