/* oxlint-disable typescript/no-floating-promises -- The promises of node:test are its runner's to await. */
import assert from "node:assert/strict";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import type { BuiltBundle } from "../../src/engines/backend.ts";
import { CryptoHasher } from "../../src/engines/crypto-hasher.ts";
import { loadOnnxRuntime } from "../../src/engines/onnxruntime/library.ts";
import { tensorRtBackend } from "../../src/engines/tensorrt/backend.ts";
import type { Checkpoint } from "../../src/models/checkpoint.ts";
import { openCheckpoint } from "../../src/models/open-checkpoint.ts";
import { CHECKPOINT_FILE, DYNAMIC, TIMING_CACHE, WORK } from "./emoji.ts";

const missing = (() => {
  try {
    loadOnnxRuntime();
    return false;
  } catch (error) {
    return (error as Error).message;
  }
})();

describe("the self-test after a build", { skip: missing }, () => {
  const folder = join(WORK, "self-test");
  let checkpoint: Checkpoint;
  let built: BuiltBundle;

  before(async () => {
    checkpoint = await openCheckpoint(CHECKPOINT_FILE);
    await mkdir(folder, { recursive: true });
    built = await tensorRtBackend.build({
      checkpoint,
      components: [...checkpoint.components.keys()],
      precision: undefined,
      profileOf: () => DYNAMIC,
      folder,
      hasher: new CryptoHasher(),
      plan: { timingCacheFolder: TIMING_CACHE },
      signal: undefined,
      onProgress: () => undefined,
    });
  });

  const run = (places = built.places) =>
    tensorRtBackend.selfTest!({ checkpoint, folder, built: { ...built, places }, signal: undefined, onProgress: () => undefined });

  test("every component is ONNX Runtime's, and the same bits after a refit and back", async () => {
    const results = await run();
    assert.deepEqual(
      results.map(({ component, outcome }) => [component, outcome]),
      built.components.map(({ component }) => [component, "passed"]),
    );
    for (const { component, cosine, refit } of results) {
      console.log(`# ${component}: cosine ${cosine}, refit ${refit ?? false}`);
      assert.equal(refit ?? false, !component.startsWith("vae"), `${component}: weights that a LoRA reaches are changed and set back`);
    }
  });

  test("an engine of other weights fails, and the comparison leaves no file", async () => {
    const earlier = await readdir(folder);
    const name = "model.diffusion_model.input_blocks.1.0.in_layers.2.weight";
    const [other] = [...built.places].find(([each, { length }]) => each !== name && length === built.places.get(name)!.length)!;
    const places = new Map(built.places).set(name, built.places.get(other)!);
    await assert.rejects(run(places), { code: "engine.failed", message: /The unet was built but fails its self-test: .*cosine/ });
    assert.deepEqual(await readdir(folder), earlier);
  });
});
