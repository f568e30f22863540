import { execFile } from "node:child_process";
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { elementCount } from "../../src/formats/tensor.ts";
import type { Component } from "../../src/models/architecture.ts";
import { describeCheckpoint, type DescribedArchitecture } from "../../src/models/full-size.ts";
import { emitComponent, serialize, tensorrtTarget, writeGraph, type FloatDtype, type ResolveWeight } from "../../src/models/graph/emit.ts";
import counts from "../fixtures/graphs/parameter-counts.json" with { type: "json" };

const python = process.env["TEST_PYTHON"];

const CASES = (Object.keys(counts) as DescribedArchitecture[]).flatMap((architecture) =>
  Object.entries(counts[architecture]).map(([component, count]) => [architecture, component as Component, count] as const),
);

function emit(architecture: DescribedArchitecture, component: Component, dtype: FloatDtype) {
  const checkpoint = describeCheckpoint(architecture, { dtype: "F16" });
  const table = checkpoint.components.get(component)!;
  const graph = emitComponent(component, table, checkpoint.configuration, tensorrtTarget(dtype));
  const resolve: ResolveWeight = (name) => {
    const { offset, length } = table.get(name)!;
    return { location: "weights.safetensors", offset, length: dtype === "F32" ? 2 * length : length, dtype };
  };
  return { graph, table, resolve };
}

describe("full-size networks", () => {
  test.each(CASES)("%s %s has %i parameters", (architecture, component, count) => {
    const { graph } = emit(architecture, component, "F16");
    const parameters = [...graph.weights.values()].reduce((sum, { shape }) => sum + elementCount(shape), 0);
    expect(parameters).toBe(count);
    expect(graph.unused).toEqual([]);
  });

  test("the graph of SDXL's UNet is small beside its weights", () => {
    const { graph, resolve } = emit("sdxl", "unet", "F16");
    expect(serialize(graph, resolve).length).toBeLessThan(5_000_000);
  });

  test("bytes of another type than the graph's are never pointed to", () => {
    const { graph, resolve } = emit("sd1", "unet", "F16");
    expect(() => serialize(graph, (name) => ({ ...resolve(name), dtype: "BF16" }))).toThrow(/as F16, but its bytes are BF16/);
  });
});

describe("onnx.checker", () => {
  if (python === undefined) {
    test.skip("needs TEST_PYTHON, a Python with the onnx package", () => undefined);
    return;
  }
  const FULL_CHECK = "import sys, onnx; onnx.checker.check_model(sys.argv[1], full_check=True)";
  const types = (["F16", "BF16", "F32"] as const).map((dtype) => ["sdxl", "unet", dtype] as const);
  const components = CASES.map(([architecture, component]) => [architecture, component, "F16"] as const);

  test.each([...components, ...types.slice(1)])("%s %s in %s passes the full check", { timeout: 120_000 }, async (...description) => {
    const { graph, table, resolve } = emit(...description);
    const folder = await mkdtemp(join(tmpdir(), "full-size-"));
    try {
      const end = Math.max(...[...table.keys()].map(resolve).map(({ offset, length }) => offset + length));
      const sparse = await open(join(folder, "weights.safetensors"), "w");
      await sparse.truncate(end);
      await sparse.close();
      const model = join(folder, "model.onnx");
      await writeGraph(model, graph, resolve);
      await expect(promisify(execFile)(python, ["-c", FULL_CHECK, model])).resolves.toMatchObject({ stderr: "" });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
