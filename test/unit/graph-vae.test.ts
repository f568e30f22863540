import { describe, expect, test } from "vitest";
import { ONNX_RUNTIME_TARGET, tensorrtTarget, type FloatDtype, type GraphTarget } from "../../src/models/graph/emit.ts";
import { emitVaeDecoder, emitVaeEncoder } from "../../src/models/graph/vae.ts";
import { cosine, readFloats, relativeError, runGraph } from "../graphs/graph-runner.ts";
import { openFixture, writeKnownWeights } from "../graphs/known-weights.ts";

const NETWORKS = {
  decoder: {
    emit: emitVaeDecoder,
    belongs: (name: string) => name.includes(".decoder.") || name.includes(".post_quant_conv."),
    input: "latents",
    output: "image",
    expected: "decoded",
  },
  encoder: {
    emit: emitVaeEncoder,
    belongs: (name: string) => name.includes(".encoder.") || name.includes(".quant_conv."),
    input: "image",
    output: "moments",
    expected: "moments",
  },
} as const;

type Network = keyof typeof NETWORKS;

async function run(name: string, network: Network, source: FloatDtype, target: GraphTarget) {
  const fixture = await openFixture(name);
  const { emit, belongs, input, output, expected } = NETWORKS[network];
  const shapes = new Map([...fixture.shapes].filter(([weight]) => belongs(weight)));
  const weights = await writeKnownWeights(shapes, source);
  const graph = emit(weights.table, target);
  const outputs = await runGraph(graph, weights, { [input]: await readFloats(fixture.file, input) });
  return { graph, actual: outputs[output], expected: (await readFloats(fixture.file, expected)).data };
}

/** "vae" has 1×1 convolutions in its attention and around its latents; "vae-narrow" linear layers and none. */
const CASES = ["vae", "vae-narrow"].flatMap((name) => (["decoder", "encoder"] as const).map((network) => [name, network] as const));

describe("VAE graphs compute what diffusers computes", () => {
  test.each(CASES)("%s %s, ONNX Runtime", async (name, network) => {
    const { graph, actual, expected } = await run(name, network, "F32", ONNX_RUNTIME_TARGET);
    expect(relativeError(actual, expected)).toBeLessThan(1e-5);
    expect(graph.unused).toEqual([]);
    expect(graph.refittable).toEqual([]);
  });

  test.each(["F16", "BF16"] as const)("vae decoder from %s weights", async (source) => {
    const { actual, expected } = await run("vae", "decoder", source, ONNX_RUNTIME_TARGET);
    expect(relativeError(actual, expected)).toBeLessThan(1e-5);
  });

  test.each(CASES)("%s %s, TensorRT's operators in float32", async (name, network) => {
    const { actual, expected } = await run(name, network, "F32", tensorrtTarget("F32"));
    expect(relativeError(actual, expected)).toBeLessThan(1e-5);
  });

  test("in bf16 the operators that TensorRT 10 has no bf16 of are fp32", async () => {
    const { shapes } = await openFixture("vae");
    const weights = await writeKnownWeights(new Map([...shapes].filter(([name]) => NETWORKS.decoder.belongs(name))), "BF16");
    const { nodes } = emitVaeDecoder(weights.table, tensorrtTarget("BF16"));
    const wide = nodes.filter(({ operator }) => operator === "InstanceNormalization" || operator === "Resize");
    expect(new Set(wide.map(({ operator }) => operator)).size).toBe(2);
    for (const { inputs, outputs } of wide) {
      expect(nodes.find((node) => node.outputs[0] === inputs[0])).toMatchObject({ operator: "Cast", attributes: { to: 1 } });
      expect(nodes.find((node) => node.inputs[0] === outputs[0])).toMatchObject({ operator: "Cast", attributes: { to: 16 } });
    }
  });

  test.each(CASES)("%s %s, TensorRT's operators in float16", async (name, network) => {
    const { actual, expected } = await run(name, network, "F16", tensorrtTarget("F16"));
    expect(cosine(actual, expected)).toBeGreaterThan(0.999);
  });

  test("float32 arithmetic over weights stored as float16, for decoders that overflow", async () => {
    const { graph, actual, expected } = await run("vae", "decoder", "F16", tensorrtTarget("F32", "F16"));
    expect(new Set([...graph.weights.values()].map((weight) => weight.dtype))).toEqual(new Set(["F16"]));
    expect(graph.outputs.map((output) => output.dtype)).toEqual(["F32"]);
    expect(relativeError(actual, expected)).toBeLessThan(1e-5);
  });
});
