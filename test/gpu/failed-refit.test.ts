/* oxlint-disable typescript/no-floating-promises -- The promises of node:test are its runner's to await. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { requireTensorRt } from "../../src/engines/tensorrt/library-search.ts";
import { loadNetwork } from "../../src/engines/tensorrt/load-network.ts";
import type { NativeNetwork, PackedChanges } from "../../src/engines/tensorrt/native.ts";
import { TERM_COLUMNS } from "../../src/engines/tensorrt/packed-changes.ts";
import { TensorRtEngine } from "../../src/engines/tensorrt/tensorrt-engine.ts";
import { TensorRtNetwork } from "../../src/engines/tensorrt/tensorrt-network.ts";
import type { Component } from "../../src/models/architecture.ts";
import { assertSameBits, Emoji } from "./emoji.ts";

let emoji: Emoji;
before(async () => (emoji = await Emoji.load()));
after(() => emoji?.close());

/** Of sums alone, which come in the order of the weights. */
function firstHalf(changes: PackedChanges): PackedChanges {
  assert.equal(changes.programs.length, 0);
  const names = changes.names.slice(0, changes.names.length >> 1);
  const rows = changes.terms.findIndex((change, index) => index % TERM_COLUMNS === 0 && change >= names.length);
  return { ...changes, names, terms: changes.terms.slice(0, rows) };
}

/** A real network whose next refit fails midway: half of its weights have been changed, and it says that it is unusable. */
function failingOnce(network: NativeNetwork): NativeNetwork {
  let fails = true;
  let isUsable = true;
  return {
    run: (inputs) => network.run(inputs),
    startSampling: (options) => network.startSampling(options),
    memory: () => ({ ...network.memory(), usable: isUsable && network.memory().usable }),
    close: () => network.close(),
    setChanges(changes) {
      if (!fails || changes.names.length === 0) return network.setChanges(changes);
      fails = false;
      isUsable = false;
      const half = network.setChanges(firstHalf(changes));
      const done = half.done.then(() => Promise.reject(Object.assign(new Error("The refit failed midway."), { code: "engine.failed" })));
      return { done, cancel: half.cancel };
    },
  };
}

describe("a refit that fails midway", () => {
  test("is told; the engine is loaded again and has its base's bits, and goes on", async () => {
    const base = await emoji.outputOf("base");
    const ink = await emoji.outputOf("ink");
    const { folder, bundle } = emoji.opened;
    const library = requireTensorRt("tensorrt");
    const networks: TensorRtNetwork[] = [];
    for (const described of bundle.components) {
      const component = described.component as Component;
      const open = () => loadNetwork(library, described, { folder });
      const native = await open();
      networks.push(new TensorRtNetwork(component, described.refittable, component === "unet" ? failingOnce(native) : native, open));
    }
    const engine = new TensorRtEngine("tensorrt", networks, () => library.addon.gpu());
    try {
      await assert.rejects(engine.setStack(emoji.stackOf("ink")), {
        code: "engine.failed",
        message: /The refit failed midway\..*base's weights/,
      });
      assertSameBits(await emoji.unetOutput(engine), base, "after the failure");
      assertSameBits(await emoji.outputOf("ink", engine), ink, "the same stack once more");
      assertSameBits(await emoji.outputOf("base", engine), base, "and back");
    } finally {
      await engine.unload();
    }
  });
});
