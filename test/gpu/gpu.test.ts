/* oxlint-disable typescript/no-floating-promises -- The promises of node:test are its runner's to await. */
/*
 * The TensorRT backend on a real GPU, with emoji-xl. Run by `npm run test:gpu`, or bundled, by Node alone, on a machine without npm
 * (scripts/gpu/pack.mjs). EMOJI_XL is the model's folder, GPU_REFERENCE what ONNX Runtime computed (scripts/gpu/make-reference.ts).
 */
import assert from "node:assert/strict";
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Engine } from "../../src/engines/engine.ts";
import { tensorRtBackend } from "../../src/engines/tensorrt/backend.ts";
import { findTensorRt } from "../../src/engines/tensorrt/library-search.ts";
import type { Profile } from "../../src/formats/engine-profile.ts";
import { SafetensorsFile } from "../../src/formats/safetensors.ts";
import type { OpenedBundle } from "../../src/jobs/engine-cache.ts";
import type { Delta, StackEntry, WeightChange } from "../../src/lora/delta.ts";
import type { Component } from "../../src/models/architecture.ts";
import type { Checkpoint } from "../../src/models/checkpoint.ts";
import { openCheckpoint } from "../../src/models/open-checkpoint.ts";
import { buildBundle, loadBundle, loadDelta, type BundleOptions } from "./bundle.ts";
import { caseInputs, cosine, STACKS } from "./cases.ts";

const emoji = process.env["EMOJI_XL"];
const referenceFile = process.env["GPU_REFERENCE"];
if (!emoji || !referenceFile) throw new Error("EMOJI_XL and GPU_REFERENCE are needed.");

const work = mkdtempSync(join(process.env["GPU_WORK"] ?? tmpdir(), "gpu-tests-"));
const timingCacheFolder = process.env["GPU_TIMING_CACHE"] ?? join(work, "timing");
const axis = (min: number, opt: number, max: number) => ({ min, opt, max });
const DYNAMIC: Profile = {
  static: false,
  batch: axis(1, 1, 4),
  height: axis(64, 128, 256),
  width: axis(64, 128, 256),
  context: axis(77, 77, 154),
};
const STATIC: Profile = {
  static: true,
  batch: axis(1, 1, 1),
  height: axis(128, 128, 128),
  width: axis(128, 128, 128),
  context: axis(77, 77, 77),
};

let checkpoint: Checkpoint;
let reference: SafetensorsFile;
let opened: OpenedBundle;
let engine: Engine;
const deltas = new Map<string, Delta>();

function build(name: string, options: Partial<BundleOptions> = {}): Promise<OpenedBundle> {
  const { plan, ...others } = options;
  return buildBundle(tensorRtBackend, checkpoint, join(work, name), {
    components: [...checkpoint.components.keys()],
    profile: () => DYNAMIC,
    plan: { timingCacheFolder, ...plan },
    ...others,
  });
}

async function stackOf(name: string): Promise<StackEntry[]> {
  return STACKS[name]!.map(([file, scale]) => ({ delta: deltas.get(file)!, scale }));
}

async function unetOutput(on: Engine = engine): Promise<Float32Array> {
  return (await on.run("unet", caseInputs("unet")))["output"]!.data;
}

async function outputOf(stack: string): Promise<Float32Array> {
  await engine.setStack(await stackOf(stack));
  return unetOutput();
}

function assertSameBits(actual: Float32Array, expected: Float32Array, what: string): void {
  assert.ok(
    Buffer.from(actual.buffer).equals(Buffer.from(expected.buffer)),
    `${what}: the bits differ (cosine ${cosine(actual, expected)})`,
  );
}

/** A delta of changes that are made here. */
function handmade(name: string, changes: ReadonlyMap<string, WeightChange & { readonly shape: readonly number[] }>): Delta {
  const { architecture, bundle } = opened;
  return { file: name, architecture, baseFingerprint: bundle.checkpoint.fingerprint, loraFile: name, strength: 1, changes };
}

before(async () => {
  checkpoint = await openCheckpoint(join(emoji, "emoji-xl.safetensors"));
  reference = await SafetensorsFile.open(referenceFile);
  const started = performance.now();
  opened = await build("dynamic");
  console.log(`# emoji-xl, five dynamic engines, built in ${((performance.now() - started) / 1000).toFixed(1)} s`);
  engine = await loadBundle(tensorRtBackend, opened);
  for (const file of ["ink.safetensors", "opposite-hue.safetensors"]) deltas.set(file, await loadDelta(opened, join(emoji, file)));
});

after(async () => {
  await engine?.unload();
  await reference?.close();
  await rm(work, { recursive: true, force: true });
});

describe("parity with ONNX Runtime", () => {
  for (const stack of Object.keys(STACKS)) {
    test(`every component with the stack "${stack}"`, async () => {
      await engine.setStack(await stackOf(stack));
      for (const component of engine.components) {
        for (const [name, { data }] of Object.entries(await engine.run(component, caseInputs(component)))) {
          const expected = await reference.readFloat32(`${stack}/${component}/${name}`);
          const found = cosine(data, expected);
          assert.ok(data.every(Number.isFinite), `${component} ${name} is finite`);
          assert.ok(found >= 0.999, `${component} ${name}: cosine ${found}`);
          console.log(`# ${stack}: ${component} ${name} cosine ${found.toFixed(6)}`);
        }
      }
    });
  }
});

describe("stacks", () => {
  test("A, then B, then A gives A's bits; an empty stack the base's", async () => {
    const base = await outputOf("base");
    const first = await outputOf("ink");
    const other = await outputOf("hue");
    assert.ok(cosine(first, base) < 0.99999 && cosine(other, first) < 0.99999, "the stacks change something");
    assertSameBits(await outputOf("ink"), first, "ink again");
    assertSameBits(await outputOf("base"), base, "the base again");
    const report = await engine.setStack([]);
    assert.equal(report.changed, 0);
  });

  test("a stack is the same whatever was there before it", async () => {
    const fresh = await outputOf("both");
    for (const earlier of ["ink", "negative", "base", "half ink"]) {
      await outputOf(earlier);
      assertSameBits(await outputOf("both"), fresh, `both after ${earlier}`);
    }
  });

  test("dense changes, of convolutions and of other kinds, match fp32 arithmetic", async () => {
    const weights = opened.bundle.components.find(({ component }) => component === "unet")!.refittable;
    const convolution = weights.find(({ shape }) => shape.length === 4 && shape[2] === 3)!;
    const linear = weights.find(({ name }) => name.endsWith("attn1.to_q.weight"))!;
    const values = (shape: readonly number[]) => {
      const count = shape.reduce((product, size) => product * size, 1);
      return Float32Array.from({ length: count }, (_, index) => 0.02 * Math.sin(index));
    };
    const dense = { kind: "dense", values: values(convolution.shape), shape: convolution.shape } as const;
    const factors = new Map([
      ["hada_w1_a", { shape: [linear.shape[0]!, 2], values: values([linear.shape[0]!, 2]) }],
      ["hada_w1_b", { shape: [2, linear.shape[1]!], values: values([2, linear.shape[1]!]) }],
      ["hada_w2_a", { shape: [linear.shape[0]!, 2], values: values([linear.shape[0]!, 2]) }],
      ["hada_w2_b", { shape: [2, linear.shape[1]!], values: values([2, linear.shape[1]!]) }],
    ]);
    const factored = { kind: "factored", parts: [{ factors }], strength: 1, shape: linear.shape } as const;
    const base = await outputOf("base");
    for (const [name, weight, change] of [
      ["dense", convolution, dense],
      ["LoHa", linear, factored],
    ] as const) {
      const report = await engine.setStack([{ delta: handmade(name, new Map([[weight.name, change]])), scale: 5 }]);
      assert.equal(report.changed, 1);
      const changed = await unetOutput();
      assert.ok(cosine(changed, base) < 0.9999999, `${name} changes the output`);
      assertSameBits(await outputOf("base"), base, `the base after ${name}`);
    }
  });

  test("wrong sizes and unknown weights are refused, and the stack stays", async () => {
    const ink = await outputOf("ink");
    const [weight] = opened.bundle.components.find(({ component }) => component === "unet")!.refittable;
    const change = { kind: "dense", values: new Float32Array(3), shape: [3] } as const;
    await assert.rejects(engine.setStack([{ delta: handmade("bad", new Map([[weight!.name, change]])), scale: 1 }]), {
      code: "delta.invalid",
    });
    assertSameBits(await unetOutput(), ink, "after a refused stack");
  });

  test("a cancelled change leaves the stack that was there", async () => {
    const ink = await outputOf("ink");
    const aborted = AbortSignal.abort();
    await assert.rejects(engine.setStack(await stackOf("hue"), aborted), { code: "cancelled" });
    assertSameBits(await unetOutput(), ink, "cancelled before it began");
    const hue = await outputOf("hue");
    await outputOf("ink");
    let cancelled = 0;
    for (let delay = 0; delay < 20; delay++) {
      const controller = new AbortController();
      const change = engine.setStack(await stackOf("hue"), controller.signal).then(
        () => "done" as const,
        (error: unknown) => {
          assert.equal((error as { code: string }).code, "cancelled");
          return "cancelled" as const;
        },
      );
      await new Promise((resolve) => setTimeout(resolve, delay));
      controller.abort();
      const outcome = await change;
      if (outcome === "cancelled") cancelled++;
      assertSameBits(await unetOutput(), outcome === "done" ? hue : ink, `cancelled after ${delay} ms: ${outcome}`);
      await outputOf("ink");
    }
    console.log(`# ${cancelled} of 20 changes were cancelled in their middle`);
  });

  test("200 random stacks: memory does not grow, and the way back is exact", async () => {
    const base = await outputOf("base");
    const names = Object.keys(STACKS);
    for (const name of names) await outputOf(name);
    const seen = new Map<string, Float32Array>();
    const start = { gpu: engine.memory().gpu!.free, host: process.memoryUsage().rss };
    let state = 5;
    for (let i = 0; i < 200; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      const name = names[state % names.length]!;
      const output = await outputOf(name);
      const known = seen.get(name);
      if (known) assertSameBits(output, known, `stack ${i}, ${name}`);
      else seen.set(name, output);
    }
    assertSameBits(await outputOf("base"), base, "the base after 200 stacks");
    const grown = { gpu: start.gpu - engine.memory().gpu!.free, host: process.memoryUsage().rss - start.host };
    console.log(`# after 200 stacks: GPU ${grown.gpu / 2 ** 20} MiB, host ${(grown.host / 2 ** 20).toFixed(1)} MiB more`);
    assert.ok(grown.gpu <= 4 * 2 ** 20, `the GPU's memory grew by ${grown.gpu} bytes`);
    assert.ok(grown.host <= 128 * 2 ** 20, `the host's memory grew by ${grown.host} bytes`);
  });
});

describe("engines", () => {
  test("wherever the base is kept, the bits are the same", async () => {
    const expected = await outputOf("both");
    const base = await outputOf("base");
    for (const basePlacement of ["host", "file"] as const) {
      const other = await loadBundle(tensorRtBackend, opened, { basePlacement });
      try {
        await other.setStack(await stackOf("both"));
        assertSameBits(await unetOutput(other), expected, basePlacement);
        await other.setStack([]);
        assertSameBits(await unetOutput(other), base, `${basePlacement}, base`);
        assert.equal(other.memory().gpu!.base, 0);
      } finally {
        await other.unload();
      }
    }
  });

  test("two engines at once, loaded at the same time, each with its own stack", async () => {
    const [ink, hue] = [await outputOf("ink"), await outputOf("hue")];
    const pair = await Promise.all([loadBundle(tensorRtBackend, opened), loadBundle(tensorRtBackend, opened)]);
    try {
      await Promise.all([pair[0].setStack(await stackOf("ink")), pair[1].setStack(await stackOf("hue"))]);
      const outputs = await Promise.all(Array.from({ length: 8 }, (_, index) => unetOutput(pair[index % 2])));
      outputs.forEach((output, index) => assertSameBits(output, index % 2 === 0 ? ink : hue, `run ${index}`));
    } finally {
      for (const each of pair) await each.unload();
    }
  });

  test("other sizes and batches inside the profile; outside of it a sentence says what it takes", async () => {
    await engine.setStack([]);
    const { x, timesteps, context, y } = caseInputs("unet") as Record<string, { dims: number[]; data: Float32Array }>;
    const one = {
      x: { dims: [1, 4, 16, 16], data: x!.data.slice(0, x!.data.length / 2) },
      timesteps: { dims: [1], data: timesteps!.data.slice(0, 1) },
      context: { dims: [1, 77, 128], data: context!.data.slice(0, context!.data.length / 2) },
      y: { dims: [1, y!.dims[1]!], data: y!.data.slice(0, y!.data.length / 2) },
    };
    const half = (await engine.run("unet", one))["output"]!.data;
    const both = await unetOutput();
    assert.ok(cosine(half, both.slice(0, half.length)) > 0.9999);
    const large = { ...one, x: { dims: [1, 4, 40, 40], data: new Float32Array(4 * 1600) } };
    await assert.rejects(engine.run("unet", large), {
      code: "option.invalid",
      message: /takes "x" from 1x4x8x8 to 8x4x32x32, not 1x4x40x40/,
    });
    assertSameBits(await unetOutput(), both, "after a refused size");
  });

  test("a static engine, run as a CUDA graph, gives the same output at every run and after refits", async () => {
    const fixed = await build("static", { components: ["unet"], profile: () => STATIC });
    const other = await loadBundle(tensorRtBackend, fixed);
    try {
      const first = await unetOutput(other);
      for (let run = 0; run < 5; run++) assertSameBits(await unetOutput(other), first, `run ${run}`);
      await other.setStack(await stackOf("ink"));
      const ink = await unetOutput(other);
      for (let run = 0; run < 3; run++) assertSameBits(await unetOutput(other), ink, `ink, run ${run}`);
      await other.setStack([]);
      for (let run = 0; run < 3; run++) assertSameBits(await unetOutput(other), first, `base, run ${run}`);
      const expected = await reference.readFloat32("ink/unet/output");
      assert.ok(cosine(ink, expected) >= 0.999);
    } finally {
      await other.unload();
    }
  });

  test("refit of all weights, and none", async () => {
    const all = await build("refit-all", { components: ["unet"], plan: { refit: "all" } });
    const allEngine = await loadBundle(tensorRtBackend, all);
    await allEngine.setStack(await stackOf("ink"));
    assert.ok(cosine(await unetOutput(allEngine), await reference.readFloat32("ink/unet/output")) >= 0.999);
    await allEngine.unload();
    const none = await build("refit-none", { components: ["unet"], plan: { refit: "none" } });
    const noneEngine = await loadBundle(tensorRtBackend, none);
    const report = await noneEngine.setStack(await stackOf("ink"));
    assert.equal(report.changed, 0);
    assert.match(report.warnings.join(), /cannot be changed/);
    await noneEngine.unload();
  });

  test("what was built elsewhere is refused with a sentence", async () => {
    const { bundle } = opened;
    const other = { ...opened, bundle: { ...bundle, backend: { ...bundle.backend, version: "9.9.9" } } };
    await assert.rejects(loadBundle(tensorRtBackend, other), { code: "bundle.invalid", message: /built with TensorRT 9\.9\.9; here is/ });
    const card = { ...opened, bundle: { ...bundle, computeCapability: "8.6" } };
    await assert.rejects(loadBundle(tensorRtBackend, card), { code: "bundle.invalid", message: /compute capability 8\.6/ });
  });

  test("used after it was unloaded", async () => {
    const other = await loadBundle(tensorRtBackend, opened);
    await other.unload();
    await assert.rejects(other.run("unet", caseInputs("unet")), { code: "engine.unusable" });
    await other.unload();
  });
});

describe("builds", () => {
  const unet = { components: ["unet"] as Component[], plan: { timingCacheFolder: join(work, "cold") } };

  test("cancelled in the middle, at once and later", async () => {
    for (const threshold of [0, 0.05]) {
      const controller = new AbortController();
      const started = performance.now();
      let abortedAt = 0;
      const building = build("cancelled", {
        ...unet,
        signal: controller.signal,
        onProgress: (stage, fraction) => {
          if (abortedAt > 0 || !stage.startsWith("building") || fraction < threshold) return;
          abortedAt = performance.now();
          controller.abort();
        },
      });
      await assert.rejects(building, { code: "cancelled" });
      console.log(
        `# cancelled at ${((abortedAt - started) / 1000).toFixed(1)} s, ended ${((performance.now() - abortedAt) / 1000).toFixed(1)} s later`,
      );
    }
  });

  test("a scratch memory limit that is too small fails, or is made do with", async () => {
    const building = build("workspace", { ...unet, plan: { ...unet.plan, workspaceBytes: 1 } });
    const outcome = await building.then(
      () => "built",
      (error: unknown) => error as { code: string; message: string },
    );
    console.log(`# a limit of 1 byte: ${typeof outcome === "string" ? outcome : `${outcome.code}: ${outcome.message.slice(0, 300)}`}`);
    if (typeof outcome !== "string") assert.match(outcome.code, /^(gpu\.memory|engine\.failed)$/);
    assertSameBits(await outputOf("base"), await outputOf("base"), "the engine that was loaded goes on");
  });

  test("more than the GPU's memory is refused with the figures", async () => {
    const huge = { ...DYNAMIC, batch: axis(1, 1, 65536), height: axis(64, 128, 4096), width: axis(64, 128, 4096) };
    const outcome = await build("huge", { ...unet, profile: () => huge })
      .then((bundle) => loadBundle(tensorRtBackend, bundle))
      .then(
        async (loaded) => {
          await loaded.unload();
          return "loaded";
        },
        (error: unknown) => error as { code: string; message: string },
      );
    console.log(`# far too large a batch: ${typeof outcome === "string" ? outcome : `${outcome.code}: ${outcome.message.slice(0, 300)}`}`);
    assert.notEqual(outcome, "loaded");
  });

  test("a damaged plan is told, not crashed on", async () => {
    const { library } = findTensorRt("tensorrt");
    const task = library!.addon.load({ library: library!.folder, plan: referenceFile, weights: [], basePlacement: "gpu" });
    await assert.rejects(task.done, { code: "engine.failed" });
  });
});
