/* oxlint-disable typescript/no-floating-promises -- The promises of node:test are its runner's to await. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { tensorRtBackend } from "../../src/engines/tensorrt/backend.ts";
import { findTensorRt } from "../../src/engines/tensorrt/library-search.ts";
import type { Component } from "../../src/models/architecture.ts";
import { loadBundle } from "./bundle.ts";
import { assertSameBits, axis, DYNAMIC, Emoji, REFERENCE_FILE, WORK } from "./emoji.ts";

let emoji: Emoji;
before(async () => (emoji = await Emoji.load()));
after(() => emoji?.close());

describe("builds", () => {
  const unet = { components: ["unet"] as Component[], plan: { timingCacheFolder: join(WORK, "cold") } };

  test("cancelled in the middle, at once and later", async () => {
    for (const threshold of [0, 0.05]) {
      const controller = new AbortController();
      const started = performance.now();
      let abortedAt = 0;
      const building = emoji.build("cancelled", {
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
    const building = emoji.build("workspace", { ...unet, plan: { ...unet.plan, workspaceBytes: 1 } });
    const outcome = await building.then(
      () => "built",
      (error: unknown) => error as { code: string; message: string },
    );
    console.log(`# a limit of 1 byte: ${typeof outcome === "string" ? outcome : `${outcome.code}: ${outcome.message.slice(0, 300)}`}`);
    if (typeof outcome !== "string") assert.match(outcome.code, /^(gpu\.memory|engine\.failed)$/);
    assertSameBits(await emoji.outputOf("base"), await emoji.outputOf("base"), "the engine that was loaded goes on");
  });

  test("more than the GPU's memory is refused with the figures", async () => {
    const huge = { ...DYNAMIC, batch: axis(1, 1, 65536), height: axis(64, 128, 4096), width: axis(64, 128, 4096) };
    const outcome = await emoji
      .build("huge", { ...unet, profile: () => huge })
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
    const task = library!.addon.load({ library: library!.folder, plan: REFERENCE_FILE, weights: [], basePlacement: "gpu" });
    await assert.rejects(task.done, { code: "engine.failed" });
  });
});
