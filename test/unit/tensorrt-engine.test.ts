import { describe, expect, test } from "vitest";
import type { NativeMemory, NativeNetwork, NativeTask, PackedChanges } from "../../src/engines/tensorrt/native.ts";
import { TensorRtEngine } from "../../src/engines/tensorrt/tensorrt-engine.ts";
import { TensorRtNetwork } from "../../src/engines/tensorrt/tensorrt-network.ts";
import type { RefittableWeight } from "../../src/formats/engine-bundle.ts";
import type { StackEntry } from "../../src/lora/delta.ts";
import type { Component } from "../../src/models/architecture.ts";

/* What the engine does around refits, with networks that only say what was asked of them; test/gpu does the same on real ones. */

const MEMORY: NativeMemory = {
  plan: 100,
  scratch: 20,
  buffers: 3,
  baseOnGpu: 40,
  baseOnHost: 0,
  merged: 0,
  pinned: 5,
  absent: [],
  usable: true,
  graphProblem: "",
};
const GPU = { name: "GPU", computeCapability: 89, driver: 13_000, freeBytes: 700, totalBytes: 1000 };

type Failure = "before the refit" | "midway";

/** One component, whose weights are "COMPONENT.0" and "COMPONENT.1". */
class FakeNetwork {
  readonly component: Component;
  /** Names of the weights that are not the base's, after each change. */
  readonly history: string[][] = [];
  readonly network: TensorRtNetwork;
  loads = 0;
  closes = 0;
  failure: Failure | undefined;
  cancelled = 0;

  constructor(component: Component) {
    this.component = component;
    const weights = [0, 1].map((index): RefittableWeight => {
      return { name: `${component}.${index}`, shape: [2, 2], dtype: "F32", file: "weights", offset: 16 * index, length: 16 };
    });
    this.network = new TensorRtNetwork(component, weights, this.#native(), () => {
      this.loads++;
      this.history.push([]);
      return Promise.resolve(this.#native());
    });
  }

  #native(): NativeNetwork {
    let usable = true;
    const setChanges = ({ names }: PackedChanges): NativeTask<never> => {
      const failure = names.length > 0 ? this.failure : undefined;
      const done = async () => {
        if (failure) {
          this.failure = undefined;
          usable = failure !== "midway";
          throw Object.assign(new Error(`It failed ${failure}.`), { code: "gpu.failed" });
        }
        this.history.push([...names]);
        const times = { upload: 1, merge: 2, refit: 3, uploadedBytes: 0, changed: names.length, restored: 0 };
        return times as never;
      };
      return { done: done(), cancel: () => this.cancelled++ };
    };
    const close = () => Promise.resolve(void this.closes++);
    return { setChanges, close, memory: () => ({ ...MEMORY, usable }) } as Partial<NativeNetwork> as NativeNetwork;
  }
}

function setUp() {
  const [unet, encoder] = [new FakeNetwork("unet"), new FakeNetwork("text_encoder")];
  const engine = new TensorRtEngine("tensorrt", [unet.network, encoder.network], () => GPU);
  return { unet, encoder, engine };
}

function entry(...names: string[]): StackEntry {
  const change = { kind: "lowRank", rank: 1, up: new Float32Array(2), down: new Float32Array(2), shape: [2, 2] } as const;
  const changes = new Map(names.map((name) => [name, change]));
  return { delta: { file: "lora", architecture: "sdxl", baseFingerprint: "", loraFile: "lora", strength: 1, changes }, scale: 1 };
}

describe("a stack on TensorRT", () => {
  test("gives every network its own weights, and takes back what the next one does not change", async () => {
    const { unet, encoder, engine } = setUp();
    const report = await engine.setStack([entry("unet.0", "text_encoder.1")]);
    expect(report).toMatchObject({ changed: 2, restored: 0, timings: { refit: 6 }, warnings: [] });
    expect(await engine.setStack([entry("unet.1")])).toMatchObject({ changed: 3, restored: 2 });
    expect(await engine.setStack([])).toMatchObject({ changed: 1, restored: 1 });
    expect(unet.history).toEqual([["unet.0"], ["unet.1"], []]);
    expect(encoder.history).toEqual([["text_encoder.1"], []]);
  });

  test("says how much of it nothing here can take", async () => {
    const { unet, engine } = setUp();
    const { changed, warnings } = await engine.setStack([entry("unet.0", "vae.0")]);
    expect([changed, warnings]).toEqual([1, [expect.stringMatching(/^1 weights? of the stack/)]]);
    expect(unet.history).toEqual([["unet.0"]]);
  });

  test("that fails before the first refit leaves the one that was there", async () => {
    const { unet, encoder, engine } = setUp();
    await engine.setStack([entry("unet.0", "text_encoder.0")]);
    unet.failure = "before the refit";
    await expect(engine.setStack([entry("unet.1")])).rejects.toMatchObject({ code: "gpu.failed", message: "It failed before the refit." });
    expect([unet.history, encoder.history]).toEqual([[["unet.0"]], [["text_encoder.0"]]]);
    expect(await engine.setStack([])).toMatchObject({ restored: 2 });
  });

  test.each<["unet" | "encoder", Failure, { unet: number; encoder: number }]>([
    ["unet", "midway", { unet: 1, encoder: 0 }],
    ["encoder", "midway", { unet: 0, encoder: 1 }],
    ["encoder", "before the refit", { unet: 0, encoder: 0 }],
  ])("whose %s fails %s brings all networks back to their base, and the next one works", async (which, failure, loads) => {
    const networks = setUp();
    const { unet, encoder, engine } = networks;
    await engine.setStack([entry("unet.0", "text_encoder.0")]);
    networks[which].failure = failure;
    const error = {
      code: "engine.failed",
      message: expect.stringMatching(/^It failed .*The engine has its base's weights again/) as string,
    };
    await expect(engine.setStack([entry("unet.1", "text_encoder.1")])).rejects.toMatchObject(error);
    expect([unet.history.at(-1), encoder.history.at(-1)]).toEqual([[], []]);
    expect({ unet: unet.loads, encoder: encoder.loads }).toEqual(loads);
    expect({ unet: unet.closes, encoder: encoder.closes }).toEqual(loads);
    expect(await engine.setStack([entry("unet.1")])).toMatchObject({ changed: 1, restored: 0 });
  });

  test("is not cancelled once a network has it: half a stack is none", async () => {
    const { unet, encoder, engine } = setUp();
    const controller = new AbortController();
    const change = engine.setStack([entry("unet.0", "text_encoder.0")], controller.signal);
    await Promise.resolve();
    controller.abort();
    await change;
    expect([unet.history, encoder.history]).toEqual([[["unet.0"]], [["text_encoder.0"]]]);
    expect(encoder.cancelled).toBe(0);
    await expect(engine.setStack([], controller.signal)).rejects.toMatchObject({ code: "cancelled" });
  });
});

test("memory is told by what holds it, beside the GPU's", () => {
  const { engine } = setUp();
  expect(engine.memory()).toEqual({ base: 90, merged: 0, gpu: { plan: 200, contexts: 46, base: 80, free: 700, total: 1000 } });
});

test("unloaded once, it frees every network once and takes no more work", async () => {
  const { unet, encoder, engine } = setUp();
  await Promise.all([engine.unload(), engine.unload()]);
  expect([unet.closes, encoder.closes]).toEqual([1, 1]);
  await expect(engine.setStack([])).rejects.toMatchObject({ code: "engine.unusable" });
});
