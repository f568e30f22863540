/* oxlint-disable typescript/no-floating-promises -- The promises of node:test are its runner's to await. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Engine } from "../../src/engines/engine.ts";
import { randomTensor, TorchGenerator } from "../../src/pipeline/noise.ts";
import { SAMPLERS } from "../../src/pipeline/samplers/sampler.ts";
import { generateImages, type ImageRequest } from "../../src/pipeline/text-to-image.ts";
import { cosine, IMAGE_REQUEST } from "./cases.ts";
import { assertSameBits, Emoji } from "./emoji.ts";

/* Images whose latents stay on the GPU. */

const MEBIBYTE = 2 ** 20;

let emoji: Emoji;
before(async () => (emoji = await Emoji.load()));
after(() => emoji?.close());

function generate(request: Partial<ImageRequest> = {}, on: Engine = emoji.engine) {
  const { architecture, configuration } = emoji.opened;
  return generateImages({ engine: on, architecture, configuration }, { ...IMAGE_REQUEST, sampler: "euler", ...request });
}

/** The same engine without its sampling: every step takes and gives arrays of the host. */
function withHostLatents(): Engine {
  const { engine } = emoji;
  return {
    backend: engine.backend,
    components: engine.components,
    setStack: (...stack) => engine.setStack(...stack),
    run: (component, inputs) => engine.run(component, inputs),
    memory: () => engine.memory(),
    unload: async () => {},
  };
}

function psnr(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < expected.length; i++) sum += (actual[i]! - expected[i]!) ** 2;
  return actual.length === expected.length ? 10 * Math.log10(255 ** 2 / (sum / expected.length)) : 0;
}

function assertSame(actual: Awaited<ReturnType<typeof generate>>, expected: typeof actual, what: string): void {
  assertSameBits(actual.latents.data, expected.latents.data, `${what}: the latents`);
  for (const [index, { data }] of expected.images.entries()) {
    assert.ok(Buffer.from(actual.images[index]!.data).equals(Buffer.from(data)), `${what}: image ${index} differs`);
  }
}

describe("a 20-step image of each sampler", () => {
  for (const sampler of SAMPLERS) {
    test(`${sampler}: ONNX Runtime's picture, and the bits of the same engine with latents on the host`, async () => {
      const device = await generate({ sampler });
      const host = await generate({ sampler }, withHostLatents());
      const latents = await emoji.reference.readFloat32(`images/${sampler}/latents`);
      const levels = await emoji.reference.readFloat32(`images/${sampler}/levels`);
      const [found, quality] = [cosine(device.latents.data, latents), psnr(device.images[0]!.data, levels)];
      const times = `a step ${device.timings.step.toFixed(2)} ms, with latents on the host ${host.timings.step.toFixed(2)} ms`;
      console.log(`# ${sampler}: latents' cosine ${found.toFixed(6)}, ${quality.toFixed(1)} dB; ${times}`);
      assertSame(device, host, sampler);
      assert.ok(found >= 0.999, `cosine ${found}`);
      assert.ok(quality >= 35, `${quality} dB`);
    });
  }
});

describe("the GPU's latents and the host's give the same", () => {
  const cases: Record<string, Partial<ImageRequest>> = {
    "several images": { batch: 2, positive: ["a cat face", "red apple"], steps: 6 },
    "no guidance": { cfg: 1, steps: 6 },
    "long prompts": { positive: "red apple, ".repeat(30), steps: 6 },
    "another size": { width: 192, height: 64, steps: 6 },
    "an image to start from": {
      image: { picture: { width: 128, height: 128, data: new Uint8Array(128 * 128 * 3).fill(120) }, strength: 0.6 },
      steps: 6,
    },
  };
  for (const [name, request] of Object.entries(cases)) {
    test(name, async () => assertSame(await generate(request), await generate(request, withHostLatents()), name));
  }

  test("CFG rescale, whose sums have another order", async () => {
    const [device, host] = [await generate({ cfgRescale: 0.7 }), await generate({ cfgRescale: 0.7 }, withHostLatents())];
    assert.ok(cosine(device.latents.data, host.latents.data) >= 0.9999);
  });

  test("previews", async () => {
    const previews = async (on: Engine) => {
      const seen: unknown[] = [];
      await generate({ steps: 6, previewEvery: 2, onStep: (step, _, preview) => preview && seen.push([step, preview]) }, on);
      return seen;
    };
    const device = await previews(emoji.engine);
    assert.equal(device.length, 3);
    assert.deepEqual(device, await previews(withHostLatents()));
  });
});

describe("CUDA graphs", () => {
  /** The network's output in `runs` runs: the first after a change of weights or sizes is an ordinary one, the others are a graph's. */
  async function outputs(size: number, runs = 4): Promise<Float32Array[]> {
    const generator = new TorchGenerator(7n);
    const inputs = {
      x: randomTensor(generator, [2, 4, size, size]),
      timesteps: { dims: [2], data: Float32Array.of(700, 700) },
      context: randomTensor(generator, [2, 77, 128]),
      y: randomTensor(generator, [2, 128 + 6 * 256]),
    };
    const all: Float32Array[] = [];
    for (let run = 0; run < runs; run++) all.push((await emoji.engine.run("unet", inputs))["output"]!.data);
    return all;
  }

  function assertAllAre(actual: readonly Float32Array[], expected: Float32Array, what: string): void {
    for (const [run, data] of actual.entries()) assertSameBits(data, expected, `${what}, run ${run}`);
  }

  test("give the bits of ordinary runs, in more sizes than are kept, and after refits", async () => {
    const sizes = [8, 16, 24, 32, 12, 20];
    await emoji.engine.setStack([]);
    const base = new Map<number, Float32Array>();
    for (const size of sizes) {
      const [first, ...graph] = await outputs(size);
      assertAllAre(graph, first!, `size ${size}`);
      base.set(size, first!);
    }
    for (const size of sizes.toReversed()) assertAllAre(await outputs(size, 2), base.get(size)!, `size ${size} again`);
    for (const stack of ["ink", "half ink"]) {
      await emoji.engine.setStack(emoji.stackOf(stack));
      for (const size of sizes.slice(0, 3)) {
        const [first, ...graph] = await outputs(size);
        assert.ok(cosine(first!, base.get(size)!) < 0.999999, `${stack} changes the output`);
        assertAllAre(graph, first!, `${stack}, size ${size}`);
      }
    }
    await emoji.engine.setStack([]);
    for (const size of sizes) assertAllAre(await outputs(size), base.get(size)!, `size ${size} with the base again`);
    assert.deepEqual(emoji.engine.notices?.(), [], "every run can be captured");
  });

  test("a stack changed between two images, and back", async () => {
    const base = await generate({ steps: 6 });
    await emoji.engine.setStack(emoji.stackOf("ink"));
    const ink = await generate({ steps: 6 });
    assertSame(ink, await generate({ steps: 6 }), "ink, again");
    assert.ok(cosine(ink.latents.data, base.latents.data) < 0.9999);
    await emoji.engine.setStack([]);
    assertSame(await generate({ steps: 6 }), base, "the base again");
  });
});

describe("memory", () => {
  /** Bytes more in use after the work than before, once it has been done a first time. */
  async function growth(times: number, work: (index: number) => Promise<unknown>) {
    for (let i = 0; i < 6; i++) await work(i);
    const start = { gpu: emoji.engine.memory().gpu!.free, host: process.memoryUsage().rss };
    for (let i = 0; i < times; i++) await work(i);
    return { gpu: start.gpu - emoji.engine.memory().gpu!.free, host: process.memoryUsage().rss - start.host };
  }

  function assertNone({ gpu, host }: { gpu: number; host: number }, what: string): void {
    console.log(`# after ${what}: GPU ${(gpu / MEBIBYTE).toFixed(1)} MiB, host ${(host / MEBIBYTE).toFixed(1)} MiB more`);
    assert.ok(gpu <= 4 * MEBIBYTE, `the GPU's memory grew by ${gpu} bytes`);
    assert.ok(host <= 128 * MEBIBYTE, `the host's memory grew by ${host} bytes`);
  }

  test("does not grow over 50 images", async () => {
    assertNone(await growth(50, (i) => generate({ sampler: SAMPLERS[i % SAMPLERS.length]!, steps: 5, seed: BigInt(i) })), "50 images");
  });

  test("is given back by images that are cancelled between steps", async () => {
    const cancelled = async (index: number) => {
      const controller = new AbortController();
      let steps = 0;
      const stop = 1 + (index % 7);
      const onStep = () => void (++steps === stop && controller.abort());
      await assert.rejects(generate({ signal: controller.signal, onStep }), { code: "cancelled" });
      assert.ok(steps <= stop, `${steps} steps, cancelled in step ${stop}`);
    };
    assertNone(await growth(40, cancelled), "40 cancelled images");
  });

  test("is given back by images that fail, and the next one is as before", async () => {
    const expected = await generate({ steps: 6 });
    const noise = { dims: [1, 4, 16, 16], data: new Float32Array(1024).fill(1e30) };
    const failing = () => assert.rejects(generate({ noise }), { code: "engine.failed", message: /NaN or infinite values at timestep/ });
    assertNone(await growth(20, failing), "20 failed images");
    assertSame(await generate({ steps: 6 }), expected, "after failures");
  });
});

test("timings", async () => {
  for (const batch of [1, 2]) {
    const request = { batch, steps: 50 };
    await generate(request);
    for (const [name, on] of [
      ["on the GPU", emoji.engine],
      ["on the host", withHostLatents()],
    ] as const) {
      const { timings } = await generate(request, on);
      const [step, sampling, decode] = [timings.step, timings.sample, timings.decode].map((time) => time.toFixed(2));
      console.log(`# ${batch} image(s) of 128x128, latents ${name}: a step ${step} ms, 50 steps ${sampling} ms, decode ${decode} ms`);
    }
  }
});
