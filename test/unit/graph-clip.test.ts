import { describe, expect, test } from "vitest";
import type { TextEncoderConfiguration } from "../../src/models/configuration.ts";
import { emitClip } from "../../src/models/graph/clip.ts";
import { ONNX_RUNTIME_TARGET, tensorrtTarget, type FloatDtype, type GraphTarget } from "../../src/models/graph/emit.ts";
import { cosine, readFloats, readIntegers, relativeError, runGraph } from "../graphs/graph-runner.ts";
import { openFixture, writeKnownWeights } from "../graphs/known-weights.ts";

const ENCODERS = ["text-clip-l", "text-openclip-h", "text-openclip-bigg", "text-bigg-transformers"];
/** All 77 positions, and fewer. */
const LENGTHS = [77, 10];
const HIDDEN_STATES = ["last_hidden_state", "penultimate_hidden_state", "penultimate_normalized"];

async function emit(name: string, source: FloatDtype, target: GraphTarget) {
  const fixture = await openFixture<TextEncoderConfiguration>(name);
  const weights = await writeKnownWeights(fixture.shapes, source);
  return { fixture, weights, graph: emitClip(weights.table, fixture.description, target) };
}

async function run(name: string, length: number, source: FloatDtype, target: GraphTarget) {
  const { fixture, weights, graph } = await emit(name, source, target);
  const outputs = await runGraph(graph, weights, {
    input_ids: await readIntegers(fixture.file, `input_ids_${length}`),
    end_positions: await readIntegers(fixture.file, `end_positions_${length}`),
  });
  const names = fixture.description.projectionWidth > 0 ? [...HIDDEN_STATES, "pooled"] : HIDDEN_STATES;
  expect(Object.keys(outputs)).toEqual(names);
  const pairs = names.map(async (output) => [outputs[output], (await readFloats(fixture.file, `${output}_${length}`)).data] as const);
  return { graph, pairs: await Promise.all(pairs) };
}

describe("text encoder graphs compute what transformers computes", () => {
  const cases = ENCODERS.flatMap((name) => LENGTHS.map((length) => [name, length] as const));

  test.each(cases)("%s, %i tokens, ONNX Runtime", async (name, length) => {
    const { graph, pairs } = await run(name, length, "F32", ONNX_RUNTIME_TARGET);
    for (const [actual, expected] of pairs) expect(relativeError(actual, expected)).toBeLessThan(1e-5);
    expect(graph.unused).toEqual([]);
  });

  test.each(["F16", "BF16"] as const)("text-openclip-bigg from %s weights", async (source) => {
    const { pairs } = await run("text-openclip-bigg", 10, source, ONNX_RUNTIME_TARGET);
    for (const [actual, expected] of pairs) expect(relativeError(actual, expected)).toBeLessThan(1e-5);
  });

  test.each(cases)("%s, %i tokens, TensorRT's operators in float32", async (name, length) => {
    const { pairs } = await run(name, length, "F32", tensorrtTarget("F32"));
    for (const [actual, expected] of pairs) expect(relativeError(actual, expected)).toBeLessThan(1e-5);
  });

  test.each(ENCODERS)("%s, TensorRT's operators in float16", async (name) => {
    const { pairs } = await run(name, 77, "F16", tensorrtTarget("F16"));
    for (const [actual, expected] of pairs) expect(cosine(actual, expected)).toBeGreaterThan(0.999);
  });
});

describe("text encoder graphs", () => {
  test.each(ENCODERS)("%s: all but the embeddings is refittable", async (name) => {
    const { fixture, graph } = await emit(name, "F16", ONNX_RUNTIME_TARGET);
    const expected = [...fixture.shapes.keys()].filter((weight) => !/embedding(\.weight)?$/.test(weight));
    expect(graph.refittable.toSorted()).toEqual(expected.toSorted());
  });

  test("position ids and the training's scale are reported as unused", async () => {
    const { fixture, weights } = await emit("text-openclip-h", "F16", ONNX_RUNTIME_TARGET);
    const [first] = weights.table.values();
    const extra = ["cond_stage_model.model.logit_scale", "cond_stage_model.model.attn_mask"];
    const table = new Map([...weights.table, ...extra.map((name) => [name, { ...first!, name }] as const)]);
    expect(emitClip(table, fixture.description, ONNX_RUNTIME_TARGET).unused).toEqual(extra);
  });

  test("the penultimate state of an encoder of one layer is its embedding", async () => {
    const { fixture, weights } = await emit("text-openclip-h", "F16", ONNX_RUNTIME_TARGET);
    const graph = emitClip(weights.table, { ...fixture.description, layers: 1 }, ONNX_RUNTIME_TARGET);
    const producer = graph.nodes.find((node) => node.outputs[0] === "penultimate_hidden_state")!;
    const source = graph.nodes.find((node) => node.outputs[0] === producer.inputs[0])!;
    const gather = graph.nodes.find((node) => node.operator === "Gather")!;
    expect(source.inputs[0]).toBe(gather.outputs[0]);
  });
});
