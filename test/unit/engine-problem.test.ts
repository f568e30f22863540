import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { describeFile } from "../../src/jobs/describe.ts";
import { engineProblem } from "../../src/jobs/engine-problem.ts";
import { CHECKPOINT, run, temporaryFolder } from "./jobs-support.ts";

const folder = temporaryFolder();
const engine = join(folder, "engine");

beforeAll(() => run("export", { checkpoint: CHECKPOINT, output: engine }));

/** The engine, as another machine's TensorRT would have built it. */
function forAnotherGpu(): string {
  const copy = join(folder, "gpu");
  cpSync(engine, copy, { recursive: true });
  const file = join(copy, "engine.json");
  const bundle = JSON.parse(readFileSync(file, "utf8")) as object;
  // No GPU has this compute capability, so that the answer is the same on a machine with one.
  writeFileSync(file, JSON.stringify({ ...bundle, backend: { name: "tensorrt", version: "10.6.0" }, computeCapability: "1.0" }));
  return copy;
}

test("an engine of ONNX Runtime runs on every machine", async () => {
  expect(await engineProblem(engine)).toBeUndefined();
});

test("an engine of another GPU says why it does not run here, and is described all the same", async () => {
  const copy = forAnotherGpu();
  expect(await engineProblem(copy)).toMatch(/GPU|driver|compute capability|was not found/);
  expect(await describeFile(copy)).toMatchObject({
    kind: "engine bundle",
    backend: "tensorrt",
    backendVersion: "10.6.0",
    computeCapability: "1.0",
    checkpoint: "emoji-xl.safetensors",
  });
});

test("an engine whose files are gone says which", async () => {
  const copy = join(folder, "incomplete");
  cpSync(engine, copy, { recursive: true });
  const weights = (JSON.parse(readFileSync(join(copy, "engine.json"), "utf8")) as { weightFiles: { file: string }[] }).weightFiles;
  for (const { file } of weights) rmSync(join(copy, file), { force: true });
  expect(await engineProblem(copy)).toMatch(/is missing from the engine bundle/);
  expect(await describeFile(copy)).toMatchObject({ kind: "unreadable", problem: expect.stringContaining(copy) as string });
});

test("a bundle's components are described with their shapes and what a LoRA can change", async () => {
  const { components, bundleBytes } = await describeFile(engine);
  const unet = components?.find(({ component }) => component === "unet");
  expect(unet?.profile).toMatchObject({ static: false, batch: { min: 1 }, height: { min: 64 } });
  expect(unet?.refittable).toBeGreaterThan(100);
  expect(bundleBytes).toBeGreaterThan(30_000_000);
});
