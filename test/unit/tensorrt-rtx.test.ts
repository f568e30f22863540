import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { setupTensorRtRtx } from "../../scripts/setup-tensorrt-rtx.ts";
import type { BuildRequest } from "../../src/engines/backend.ts";
import { CryptoHasher } from "../../src/engines/crypto-hasher.ts";
import { tensorRtRtxBackend } from "../../src/engines/tensorrt/backend.ts";
import { findTensorRt } from "../../src/engines/tensorrt/library-search.ts";
import { loadTensorRtAddon } from "../../src/engines/tensorrt/native.ts";
import type { Profile } from "../../src/formats/engine-profile.ts";
import type { WeightDtype } from "../../src/formats/numbers.ts";
import type { Component } from "../../src/models/architecture.ts";
import type { DescribedArchitecture } from "../../src/models/full-size.ts";
import { tinyCheckpoint } from "../tensorrt/tiny-checkpoint.ts";

/*
 * Every graph that is emitted for TensorRT, of every architecture and number type, is parsed and built by the real TensorRT-RTX, which needs
 * no GPU for it.
 */

// Builds take as long as the machine is busy.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const libraries = await setupTensorRtRtx();
const { reason: missingAddon } = loadTensorRtAddon("rtx");
const reason = "reason" in libraries ? libraries.reason : missingAddon;

const axis = (min: number, opt: number, max: number) => ({ min, opt, max });
const DYNAMIC: Profile = {
  static: false,
  batch: axis(1, 1, 2),
  height: axis(64, 128, 192),
  width: axis(64, 128, 192),
  context: axis(77, 77, 154),
};
const STATIC: Profile = {
  static: true,
  batch: axis(1, 1, 1),
  height: axis(128, 128, 128),
  width: axis(128, 128, 128),
  context: axis(77, 77, 77),
};

describe("TensorRT-RTX", () => {
  if (reason !== undefined) {
    test.skip(`every graph is built (skipped: ${reason})`, () => undefined);
    return;
  }

  let folder = "";
  const environment = { ...process.env };
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "tensorrt-rtx-"));
    process.env["TENSORRT_REDUX_LIBRARIES"] = "folder" in libraries ? libraries.folder : "";
  });
  afterAll(async () => {
    process.env = environment;
    await rm(folder, { recursive: true, force: true });
  });

  async function build(architecture: DescribedArchitecture, dtype: WeightDtype, profile: Profile, options: Partial<BuildRequest> = {}) {
    const target = await mkdtemp(join(folder, "bundle-"));
    const checkpoint = await tinyCheckpoint(architecture, dtype, folder);
    const components = [...checkpoint.components.keys()];
    const stages: string[] = [];
    const built = await tensorRtRtxBackend.build({
      checkpoint,
      components,
      precision: dtype,
      profileOf: () => profile,
      folder: target,
      hasher: new CryptoHasher(),
      plan: { computeCapabilities: [89] },
      signal: undefined,
      onProgress: (stage) => stages.push(stage),
      ...options,
    });
    return { target, built, stages };
  }

  test("its version is that of the package", () => {
    const { library } = findTensorRt("tensorrt-rtx");
    expect(library?.information.version).toBe("1.7.1");
  });

  const architectures: DescribedArchitecture[] = ["sd1", "sd2", "sdxl", "sdxl-refiner"];
  const cases = architectures.flatMap((architecture) => (["F16", "BF16", "F32"] as const).map((dtype) => [architecture, dtype] as const));
  test.each(cases)("%s in %s, all components, dynamic shapes", async (architecture, dtype) => {
    const { target, built } = await build(architecture, dtype, DYNAMIC);
    for (const { engine, bytes } of built.components) expect((await stat(join(target, engine!))).size).toBe(bytes);
    expect(built.components.map(({ component }) => component)).toContain("unet");
    expect(built.warnings).toContainEqual(expect.stringContaining("LoRAs do not work"));
    expect(built.computeCapability).toBeUndefined();
  });

  test("sdxl with fixed shapes; the ONNX file is kept when asked for", async () => {
    const { target, built, stages } = await build("sdxl", "F16", STATIC, {
      plan: { computeCapabilities: [89, 120], keepOnnx: true, optimizationLevel: 2, workspaceBytes: 1 << 30 },
    });
    const unet = built.components.find(({ component }) => component === "unet")!;
    expect(unet.engine).toBe("unet_stat-b1-h128-w128.engine");
    expect((await readFile(join(target, unet.onnx!))).length).toBeGreaterThan(1000);
    expect(stages).toContainEqual(expect.stringMatching(/^building unet \(about .* of memory\)$/));
  });

  test("a build is cancelled in its middle", async () => {
    const controller = new AbortController();
    const onProgress = (stage: string, fraction: number) => {
      if (stage.startsWith("building") && fraction > 0) controller.abort();
    };
    const cancelled = build("sdxl", "F16", DYNAMIC, { signal: controller.signal, onProgress });
    await expect(cancelled).rejects.toMatchObject({ code: "cancelled" });
  });

  test("a graph that cannot be parsed fails with TensorRT's own words", async () => {
    const { library } = findTensorRt("tensorrt-rtx");
    const onnx = join(folder, "none.onnx");
    const options = {
      library: library!.folder,
      onnx,
      plan: join(folder, "none.engine"),
      profile: {},
      refit: "none",
      refittable: [],
    } as const;
    const { done } = library!.addon.build({ ...options, computeCapabilities: [89] }, () => undefined);
    await expect(done).rejects.toMatchObject({ code: "engine.failed", message: expect.stringContaining("none.onnx") });
  });

  test("nothing but builds works without a GPU, and says so", async () => {
    const { library } = findTensorRt("tensorrt-rtx");
    const hasGpu = (() => {
      try {
        library!.addon.gpu();
        return true;
      } catch {
        return false;
      }
    })();
    if (hasGpu) return;
    expect(() => library!.addon.gpu()).toThrow(/NVIDIA driver|gives no GPU/);
    const component: Component = "unet";
    const { done } = library!.addon.load({ library: library!.folder, plan: join(folder, component), weights: [], basePlacement: "gpu" });
    await expect(done).rejects.toMatchObject({ code: "gpu.unavailable" });
  });
});
