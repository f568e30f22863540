/* oxlint-disable typescript/no-floating-promises -- The promises of node:test are its runner's to await. */
import assert from "node:assert/strict";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { chooseArithmetic, chooseHasher } from "../../src/engines/arithmetic.ts";
import { readEngineBundle, writeEngineBundle } from "../../src/formats/engine-bundle.ts";
import { readPng } from "../../src/formats/png.ts";
import type { JobContext, Progress } from "../../src/jobs/context.ts";
import { EngineCache } from "../../src/jobs/engine-cache.ts";
import { runJob, type JobKind } from "../../src/jobs/run.ts";
import { CHECKPOINT_FILE, EMOJI_FOLDER, TIMING_CACHE, WORK } from "./emoji.ts";

const INK = join(EMOJI_FOLDER, "ink.safetensors");
const folder = join(WORK, "jobs");
const bundle = join(folder, "emoji");
const engines = new EngineCache(chooseArithmetic(), chooseHasher());
const QUICK = { engine: bundle, prompt: "red apple", seed: 1, steps: 4, overwrite: true };

function run<Kind extends JobKind>(kind: Kind, options: object, context: Partial<JobContext> = {}) {
  return runJob(kind, options, { progress: () => undefined, log: () => undefined, ...context }, engines);
}

before(() => run("export", { checkpoint: CHECKPOINT_FILE, output: bundle, timingCache: TIMING_CACHE, overwrite: true }));
after(async () => {
  await engines.unloadAll();
  await rm(folder, { recursive: true, force: true });
});

describe("export", () => {
  test("chooses TensorRT by itself and records what it was built with", async () => {
    const { backend, computeCapability, components, selfTest } = await readEngineBundle(bundle);
    assert.equal(backend.name, "tensorrt");
    assert.match(computeCapability!, /^\d+\.\d$/);
    assert.ok(components.every(({ engine, onnx }) => engine !== undefined && onnx === undefined));
    assert.equal(selfTest!.length, components.length);
    for (const { component, outcome, reason, cosine } of selfTest!) console.log(`# ${component}: ${outcome} ${reason ?? cosine}`);
    const { metadata } = await run("inspect", { file: bundle });
    assert.match(metadata["self-test of unet"]!, /^(passed|not run: )/);
  });

  test("cancelled in the middle of a build leaves nothing behind", async () => {
    const earlier = await readdir(folder);
    const controller = new AbortController();
    let abortedAt = 0;
    const progress = ({ stage, fraction = 0 }: Progress) => {
      if (abortedAt > 0 || !stage.startsWith("building") || fraction <= 0) return;
      abortedAt = performance.now();
      controller.abort();
    };
    // Without what earlier builds have measured it takes long enough.
    const options = { checkpoint: CHECKPOINT_FILE, output: join(folder, "cancelled"), timingCache: join(WORK, "cold-export") };
    await assert.rejects(run("export", options, { signal: controller.signal, progress }), { code: "cancelled" });
    console.log(`# ended ${(performance.now() - abortedAt).toFixed(0)} ms after it was cancelled`);
    assert.deepEqual(await readdir(folder), earlier);
  });
});

describe("generate", () => {
  const picture = async (options: object) => {
    const { images } = await run("generate", { ...QUICK, output: join(folder, "out.png"), ...options });
    return readPng(images[0]!);
  };

  test("gives the same picture for the same seed, wherever the base weights are kept, and another with a LoRA", async () => {
    const first = await picture({});
    const ink = await picture({ lora: [{ file: INK }] });
    assert.ok(
      first.data.some((value) => value !== first.data[0]),
      "the picture is not of one colour",
    );
    assert.notDeepEqual(ink.data, first.data);
    for (const base of ["host", "file", "gpu"]) {
      assert.deepEqual((await picture({ base })).data, first.data, base);
      assert.deepEqual((await picture({ base, lora: [{ file: INK }] })).data, ink.data, `${base}, with a LoRA`);
    }
  });

  test("a delta's factors go from its file to the GPU", async () => {
    const { file } = await run("delta", { engine: bundle, lora: INK, overwrite: true });
    const [loaded] = engines.loaded();
    const { delta } = await loaded!.adapters.load(file, undefined);
    assert.ok([...delta.changes.values()].every((change) => "stored" in change));
    const [byDelta, byLora, without] = [await picture({ lora: [{ file }] }), await picture({ lora: [{ file: INK }] }), await picture({})];
    const difference = (from: { readonly data: Uint8Array }) =>
      byLora.data.reduce((sum, value, index) => sum + Math.abs(value - from.data[index]!), 0) / byLora.data.length;
    console.log(
      `# to the LoRA's picture: the delta's ${difference(byDelta).toFixed(3)}, the base's ${difference(without).toFixed(3)} of 255`,
    );
    // The LoRA's factors are fp32 in memory, the delta's fp16: summed in another order, which fp16's rounding in the network makes visible.
    assert.ok(difference(byDelta) < 4 && difference(without) > 40, "the delta draws what the LoRA does");
  });
});

describe("bench and doctor", () => {
  test("tell the engine's memory beside the GPU's", async () => {
    const { memoryBytes, backend, stepMilliseconds } = await run("bench", { engine: bundle, steps: 5, lora: [{ file: INK }] });
    assert.equal(backend, "tensorrt");
    assert.ok(stepMilliseconds.median > 0);
    const { plan, contexts, base, free, total } = memoryBytes.gpu!;
    console.log(`# emoji-xl: plans ${plan}, contexts ${contexts}, base ${base}, free ${free} of ${total}`);
    assert.ok(plan > 10e6 && contexts > 0 && base > 0 && free > 0 && total > free);
    const { findings } = await run("doctor", {});
    const found = new Map(findings.map((finding) => [finding.name, finding]));
    assert.equal(found.get("TensorRT")!.state, "found");
    assert.match(found.get("GPU")!.version!, /compute capability/);
    assert.match(found.get("Engine emoji in memory")!.version!, /on the GPU .* of plans/);
  });
});

describe("an engine from elsewhere", () => {
  test("is refused with what differs", async () => {
    await engines.unloadAll();
    const described = await readEngineBundle(bundle);
    await writeEngineBundle(bundle, { ...described, computeCapability: "8.6" });
    await assert.rejects(run("generate", QUICK), { message: /was built for compute capability 8\.6; .* has \d+\.\d\./ });
    await writeEngineBundle(bundle, described);
  });
});
