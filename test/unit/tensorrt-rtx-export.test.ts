import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { setupTensorRtRtx } from "../../scripts/setup-tensorrt-rtx.ts";
import { findGpu } from "../../src/engines/tensorrt/gpu.ts";
import { loadTensorRtAddon } from "../../src/engines/tensorrt/native.ts";
import { readEngineBundle } from "../../src/formats/engine-bundle.ts";
import type { Progress } from "../../src/jobs/context.ts";
import type { ExportResult } from "../../src/jobs/results.ts";
import { CHECKPOINT, failure, filesUnder, INK, newEngines, recordingContext, run, temporaryFolder } from "./jobs-support.ts";

/* The export job with TensorRT-RTX ahead of time, from emoji-xl to a bundle, on a machine that needs no GPU for it. */

// Builds take as long as the machine is busy.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const libraries = await setupTensorRtRtx();
const { reason: missingAddon } = loadTensorRtAddon("rtx");
const reason = "reason" in libraries ? libraries.reason : missingAddon;
const hasGpu = typeof findGpu() !== "string";

describe("export --backend tensorrt-rtx", () => {
  if (reason !== undefined) {
    test.skip(`emoji-xl becomes a bundle (skipped: ${reason})`, () => undefined);
    return;
  }

  const folder = temporaryFolder();
  const bundle = join(folder, "emoji");
  const RTX = { checkpoint: CHECKPOINT, backend: "tensorrt-rtx", computeCapability: ["8.9"] };
  const environment = { ...process.env };
  let result: ExportResult;
  beforeAll(async () => {
    process.env["TENSORRT_REDUX_LIBRARIES"] = "folder" in libraries ? libraries.folder : "";
    result = await run("export", { ...RTX, output: bundle });
  });
  afterAll(() => {
    process.env = environment;
  });

  test("tells what was built, and what will not work", () => {
    const { warnings, selfTest, components } = result;
    expect(components.map(({ component }) => component)).toEqual(["unet", "text_encoder", "text_encoder_2", "vae_encoder", "vae_decoder"]);
    expect(warnings).toEqual(hasGpu ? [] : [expect.stringMatching(/cannot build refittable engines without a GPU: LoRAs do not work/)]);
    expect(selfTest!.map(({ outcome }) => outcome)).toEqual(components.map(() => "not run"));
  });

  test("writes plans for the GPUs that were named, beside the checkpoint's weights", async () => {
    const { backend, computeCapability, components, selfTest, exportOptions } = await readEngineBundle(bundle);
    expect(backend).toEqual({ name: "tensorrt-rtx", version: "1.7.1" });
    expect(computeCapability).toBeUndefined();
    expect(exportOptions).toMatchObject({ computeCapability: ["8.9"] });
    const files = components.flatMap(({ engine, weights }) => [engine!, weights]);
    expect(filesUnder(bundle)).toEqual([...files, "emoji-xl.safetensors", "engine.json"].toSorted());
    expect(components.every(({ bytes }) => bytes > 1e6)).toBe(true);
    if (!hasGpu) expect(selfTest).toContainEqual({ component: "unet", outcome: "not run", reason: "no GPU" });
  });

  test.skipIf(hasGpu)("says what does not work with such a bundle here", async () => {
    const { metadata } = await run("inspect", { file: bundle });
    expect(metadata).toMatchObject({ backend: "tensorrt-rtx 1.7.1", "self-test of unet": "not run: no GPU" });
    const noRefit = await failure(run("delta", { engine: bundle, lora: INK }));
    expect([noRefit.code, noRefit.message]).toEqual([
      "bundle.invalid",
      expect.stringContaining("built without weights that can be changed"),
    ]);
    const noGpu = await failure(run("generate", { engine: bundle, prompt: "red apple", output: join(folder, "out.png") }));
    expect([noGpu.code, noGpu.message]).toEqual(["gpu.unavailable", expect.stringContaining("There is no NVIDIA driver here")]);
    expect(filesUnder(folder).some((file) => file.endsWith(".png"))).toBe(false);
  });

  test("doctor names the library, and what it can do here", async () => {
    const { findings } = await run("doctor", {});
    const found = findings.find(({ name }) => name === "TensorRT-RTX")!;
    expect(found).toMatchObject({ version: "1.7.1", where: expect.stringContaining("libtensorrt_rtx") as string });
    if (!hasGpu) expect([found.state, found.advice]).toEqual(["unusable", expect.stringContaining("without refit")]);
  });

  test("static shapes, the ONNX file kept, two compute capabilities", async () => {
    const output = join(folder, "static");
    const options = { ...RTX, output, computeCapability: ["8.6", "12.0"], components: ["vae_decoder"], static: true, keepOnnx: true };
    await run("export", options);
    const stem = "vae_decoder_stat-b1-h128-w128";
    const expected = [`${stem}.engine`, `${stem}.onnx`, `${stem}_weights.json`, "emoji-xl.safetensors", "engine.json"];
    expect(filesUnder(output)).toEqual(expected.toSorted());
  });

  test("a capability that it does not build for is refused before anything is built", async () => {
    const error = await failure(run("export", { ...RTX, output: join(folder, "hopper"), computeCapability: ["9.0"] }));
    expect([error.code, error.message]).toEqual([
      "option.invalid",
      "--compute-capability 9.0: TensorRT-RTX builds for 7.5, 8.0, 8.6, 8.9, 12.0, 12.1.",
    ]);
  });

  test("cancelled in the middle of a build it ends at once and leaves nothing", async () => {
    const before = readdirSync(folder);
    const controller = new AbortController();
    let cancelledAt = 0;
    const onProgress = ({ stage, fraction = 0 }: Progress) => {
      if (cancelledAt > 0 || !stage.startsWith("building") || fraction <= 0) return;
      cancelledAt = performance.now();
      controller.abort();
    };
    const context = recordingContext({ signal: controller.signal, onProgress });
    const error = await failure(run("export", { ...RTX, output: join(folder, "cancelled") }, newEngines(), context));
    const latency = performance.now() - cancelledAt;
    expect(error.code).toBe("cancelled");
    // Within a second on an idle machine; tests share theirs.
    expect(latency).toBeLessThan(5000);
    console.log(`the build ended ${latency.toFixed(0)} ms after it was cancelled`);
    expect(readdirSync(folder)).toEqual(before);
  });
});
