import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Inputs, Outputs } from "../../src/engines/engine.ts";
import { onnxRuntimeBackend } from "../../src/engines/onnxruntime/backend.ts";
import { Reference } from "../../src/engines/onnxruntime/reference.ts";
import { testNetwork, type TestedNetwork } from "../../src/engines/self-test.ts";
import { selfTestInputs } from "../../src/engines/self-test-inputs.ts";
import { describeSelfTest } from "../../src/formats/self-test.ts";
import { openCheckpoint } from "../../src/models/open-checkpoint.ts";
import { buildBundle, loadBundle } from "../gpu/bundle.ts";
import { CHECKPOINT, temporaryFolder } from "./jobs-support.ts";

const REFERENCE: Outputs = { output: { dims: [4], data: Float32Array.of(1, -2, 3, 0.5) } };

/** A network that gives `base`, or `changed` between a change and the way back. */
function network(base: number[], changed: number[], last = base): TestedNetwork {
  let values = base;
  return {
    run: () => Promise.resolve({ output: { dims: [4], data: Float32Array.from(values) } }),
    change: () => Promise.resolve((values = changed)),
    restore: () => Promise.resolve((values = last)),
  };
}

const BASE = [1.001, -2, 3, 0.5];
const CHANGED = [1.2, -2, 3, 0.5];

describe("a network's self-test", () => {
  test("passes what is right", async () => {
    const result = await testNetwork("unet", network(BASE, CHANGED), {}, REFERENCE);
    expect(result).toMatchObject({ component: "unet", outcome: "passed", refit: true });
    expect(result.cosine).toBeGreaterThan(0.9999);
    expect(describeSelfTest(result)).toMatch(/^passed \(cosine 0\.99999\d|1\.0+, refit and back\)$/);
  });

  test("of one without weights to change compares alone", async () => {
    const { run, restore } = network(REFERENCE["output"]!.data as unknown as number[], CHANGED);
    const result = await testNetwork("vae_decoder", { run, restore }, {}, REFERENCE);
    expect(result).toEqual({ component: "vae_decoder", outcome: "passed", cosine: expect.closeTo(1, 12) as number });
    expect(result.cosine).toBeLessThanOrEqual(1);
  });

  test.each<[string, TestedNetwork, RegExp]>([
    ["another output", network([3, 1, 1, 2], CHANGED), /^The unet was built but fails its self-test: .*cosine 0\.\d+; at least 0\.999/],
    ["NaN", network([1, Number.NaN, 3, 0.5], CHANGED), /"output" holds NaN \(at position 1\)/],
    ["zeros", network([0, 0, 0, 0], CHANGED), /cosine 0\.0000/],
    ["infinity after a refit", network(BASE, [Infinity, -2, 3, 0.5]), /"output" holds Infinity/],
    ["a refit that does nothing", network(BASE, BASE), /stay the same when weights are changed/],
    ["another base after the refit", network(BASE, CHANGED, [1.0011, -2, 3, 0.5]), /not the same bits again/],
    ["fewer numbers", network([1, -2, 3], CHANGED), /cosine 0\.0000/],
  ])("fails: %s", async (_name, tested, message) => {
    await expect(testNetwork("unet", tested, {}, REFERENCE)).rejects.toMatchObject({
      code: "engine.failed",
      message: expect.stringMatching(message) as string,
    });
  });

  test("fails where an output is missing", async () => {
    const silent = { ...network(BASE, CHANGED), run: () => Promise.resolve({}) };
    await expect(testNetwork("unet", silent, {}, REFERENCE)).rejects.toThrow('it has no output "output"');
  });
});

test("inputs are what the networks meet, and the same every time", () => {
  const graph = [
    { name: "input_ids", dtype: "I32", shape: ["batch", "tokens"] },
    { name: "end_positions", dtype: "I32", shape: ["batch"] },
    { name: "timesteps", dtype: "F32", shape: ["batch"] },
    { name: "x", dtype: "F32", shape: ["batch", 4, "height", "width"] },
    { name: "image", dtype: "F32", shape: ["batch", 3, 64, 64] },
  ] as const;
  const shapes = { input_ids: [2, 77], end_positions: [2], timesteps: [2], x: [2, 4, 16, 16], image: [1, 3, 64, 64] };
  const inputs = selfTestInputs(graph, shapes, 100) as Inputs & Record<string, { data: ArrayLike<number> }>;
  const values = (name: string) => Array.from(inputs[name]!.data);
  expect(Math.max(...values("input_ids"))).toBeLessThan(100);
  expect(new Set(values("input_ids")).size).toBeGreaterThan(50);
  expect(values("end_positions")).toEqual([76, 76]);
  expect(values("timesteps")).toEqual([500, 500]);
  const noise = values("x");
  expect(noise.reduce((sum, value) => sum + value * value, 0) / noise.length).toBeCloseTo(1, 1);
  expect(Math.max(...values("image").map(Math.abs))).toBeLessThanOrEqual(1);
  expect(selfTestInputs(graph, shapes, 100)).toEqual(inputs);
});

test("the reference is what the ONNX Runtime backend computes with the bundle's weights, and leaves nothing behind", async () => {
  const checkpoint = await openCheckpoint(CHECKPOINT);
  const folder = join(temporaryFolder(), "bundle");
  const axis = { min: 64, opt: 64, max: 64 };
  const component = "unet";
  const profile = { static: false, batch: { min: 1, opt: 1, max: 1 }, height: axis, width: axis, context: { min: 77, opt: 77, max: 77 } };
  const opened = await buildBundle(onnxRuntimeBackend, checkpoint, folder, { components: [component], profile: () => profile });
  const before = await readdir(folder);
  const file = opened.bundle.weightFiles[0]!.file;
  const table = checkpoint.components.get(component)!;
  const places = new Map([...table.values()].map(({ name, dtype, offset, length }) => [name, { file, dtype, offset, length }]));
  const reference = new Reference(component, checkpoint, { folder, places });
  const shapes = { x: [1, 4, 8, 8], timesteps: [1], context: [1, 77, 128], y: [1, 1664] };
  const inputs = selfTestInputs(reference.graph.inputs, shapes, 0);
  const outputs = await reference.run(inputs, undefined);
  const engine = await loadBundle(onnxRuntimeBackend, opened);
  expect(outputs).toEqual(await engine.run(component, inputs));
  await engine.unload();
  expect(outputs["output"]!.data.every(Number.isFinite)).toBe(true);
  expect(await readdir(folder)).toEqual(before);
  // Parameters of the UNet, in fp32.
  expect(reference.weightBytes).toBe(4 * [...table.values()].reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0));
});
