/* oxlint-disable typescript/no-floating-promises -- The promises of node:test are its runner's to await. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { tensorRtBackend } from "../../src/engines/tensorrt/backend.ts";
import { loadBundle } from "./bundle.ts";
import { caseInputs, cosine } from "./cases.ts";
import { assertSameBits, Emoji, STATIC } from "./emoji.ts";

let emoji: Emoji;
before(async () => (emoji = await Emoji.load()));
after(() => emoji?.close());

describe("engines", () => {
  test("wherever the base is kept, the bits are the same", async () => {
    const expected = await emoji.outputOf("both");
    const base = await emoji.outputOf("base");
    for (const basePlacement of ["host", "file"] as const) {
      const other = await loadBundle(tensorRtBackend, emoji.opened, { basePlacement });
      try {
        await other.setStack(emoji.stackOf("both"));
        assertSameBits(await emoji.unetOutput(other), expected, basePlacement);
        await other.setStack([]);
        assertSameBits(await emoji.unetOutput(other), base, `${basePlacement}, base`);
        assert.equal(other.memory().gpu!.base, 0);
      } finally {
        await other.unload();
      }
    }
  });

  test("two engines at once, loaded at the same time, each with its own stack", async () => {
    const [ink, hue] = [await emoji.outputOf("ink"), await emoji.outputOf("hue")];
    const pair = await Promise.all([loadBundle(tensorRtBackend, emoji.opened), loadBundle(tensorRtBackend, emoji.opened)]);
    try {
      await Promise.all([pair[0].setStack(emoji.stackOf("ink")), pair[1].setStack(emoji.stackOf("hue"))]);
      const outputs = await Promise.all(Array.from({ length: 8 }, (_, index) => emoji.unetOutput(pair[index % 2])));
      outputs.forEach((output, index) => assertSameBits(output, index % 2 === 0 ? ink : hue, `run ${index}`));
    } finally {
      for (const each of pair) await each.unload();
    }
  });

  test("other sizes and batches inside the profile; outside of it a sentence says what it takes", async () => {
    await emoji.engine.setStack([]);
    const { x, timesteps, context, y } = caseInputs("unet") as Record<string, { dims: number[]; data: Float32Array }>;
    const one = {
      x: { dims: [1, 4, 16, 16], data: x!.data.slice(0, x!.data.length / 2) },
      timesteps: { dims: [1], data: timesteps!.data.slice(0, 1) },
      context: { dims: [1, 77, 128], data: context!.data.slice(0, context!.data.length / 2) },
      y: { dims: [1, y!.dims[1]!], data: y!.data.slice(0, y!.data.length / 2) },
    };
    const half = (await emoji.engine.run("unet", one))["output"]!.data;
    const both = await emoji.unetOutput();
    assert.ok(cosine(half, both.slice(0, half.length)) > 0.9999);
    const large = { ...one, x: { dims: [1, 4, 40, 40], data: new Float32Array(4 * 1600) } };
    await assert.rejects(emoji.engine.run("unet", large), {
      code: "option.invalid",
      message: /takes "x" from 1x4x8x8 to 8x4x32x32, not 1x4x40x40/,
    });
    assertSameBits(await emoji.unetOutput(), both, "after a refused size");
  });

  test("a static engine, run as a CUDA graph, gives the same output at every run and after refits", async () => {
    const fixed = await emoji.build("static", { components: ["unet"], profile: () => STATIC });
    const other = await loadBundle(tensorRtBackend, fixed);
    try {
      const first = await emoji.unetOutput(other);
      for (let run = 0; run < 5; run++) assertSameBits(await emoji.unetOutput(other), first, `run ${run}`);
      await other.setStack(emoji.stackOf("ink"));
      const ink = await emoji.unetOutput(other);
      for (let run = 0; run < 3; run++) assertSameBits(await emoji.unetOutput(other), ink, `ink, run ${run}`);
      await other.setStack([]);
      for (let run = 0; run < 3; run++) assertSameBits(await emoji.unetOutput(other), first, `base, run ${run}`);
      const expected = await emoji.reference.readFloat32("ink/unet/output");
      assert.ok(cosine(ink, expected) >= 0.999);
    } finally {
      await other.unload();
    }
  });

  test("refit of all weights, and none", async () => {
    const all = await emoji.build("refit-all", { components: ["unet"], plan: { refit: "all" } });
    const allEngine = await loadBundle(tensorRtBackend, all);
    await allEngine.setStack(emoji.stackOf("ink"));
    assert.ok(cosine(await emoji.unetOutput(allEngine), await emoji.reference.readFloat32("ink/unet/output")) >= 0.999);
    await allEngine.unload();
    const none = await emoji.build("refit-none", { components: ["unet"], plan: { refit: "none" } });
    const noneEngine = await loadBundle(tensorRtBackend, none);
    const report = await noneEngine.setStack(emoji.stackOf("ink"));
    assert.equal(report.changed, 0);
    assert.match(report.warnings.join(), /cannot be changed/);
    await noneEngine.unload();
  });

  test("what was built elsewhere is refused with a sentence", async () => {
    const { bundle } = emoji.opened;
    const other = { ...emoji.opened, bundle: { ...bundle, backend: { ...bundle.backend, version: "9.9.9" } } };
    await assert.rejects(loadBundle(tensorRtBackend, other), { code: "bundle.mismatch", message: /built with TensorRT 9\.9\.9; here is/ });
    const card = { ...emoji.opened, bundle: { ...bundle, computeCapability: "8.6" } };
    await assert.rejects(loadBundle(tensorRtBackend, card), { code: "bundle.mismatch", message: /compute capability 8\.6/ });
  });

  test("used after it was unloaded", async () => {
    const other = await loadBundle(tensorRtBackend, emoji.opened);
    await other.unload();
    await assert.rejects(other.run("unet", caseInputs("unet")), { code: "engine.unusable" });
    await other.unload();
  });
});
