/* oxlint-disable typescript/no-floating-promises -- The promises of node:test are its runner's to await. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { cosine, STACKS } from "./cases.ts";
import { assertSameBits, Emoji } from "./emoji.ts";

let emoji: Emoji;
before(async () => (emoji = await Emoji.load()));
after(() => emoji?.close());

describe("stacks", () => {
  test("A, then B, then A gives A's bits; an empty stack the base's", async () => {
    const base = await emoji.outputOf("base");
    const first = await emoji.outputOf("ink");
    const other = await emoji.outputOf("hue");
    assert.ok(cosine(first, base) < 0.99999 && cosine(other, first) < 0.99999, "the stacks change something");
    assertSameBits(await emoji.outputOf("ink"), first, "ink again");
    assertSameBits(await emoji.outputOf("base"), base, "the base again");
    const report = await emoji.engine.setStack([]);
    assert.equal(report.changed, 0);
  });

  test("a stack is the same whatever was there before it", async () => {
    const fresh = await emoji.outputOf("both");
    for (const earlier of ["ink", "negative", "base", "half ink"]) {
      await emoji.outputOf(earlier);
      assertSameBits(await emoji.outputOf("both"), fresh, `both after ${earlier}`);
    }
  });

  test("dense changes, of convolutions and of other kinds, match fp32 arithmetic", async () => {
    const weights = emoji.opened.bundle.components.find(({ component }) => component === "unet")!.refittable;
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
    const base = await emoji.outputOf("base");
    for (const [name, weight, change] of [
      ["dense", convolution, dense],
      ["LoHa", linear, factored],
    ] as const) {
      const report = await emoji.engine.setStack([{ delta: emoji.handmade(name, new Map([[weight.name, change]])), scale: 5 }]);
      assert.equal(report.changed, 1);
      const changed = await emoji.unetOutput();
      assert.ok(cosine(changed, base) < 0.9999999, `${name} changes the output`);
      assertSameBits(await emoji.outputOf("base"), base, `the base after ${name}`);
    }
  });

  test("wrong sizes and unknown weights are refused, and the stack stays", async () => {
    const ink = await emoji.outputOf("ink");
    const [weight] = emoji.opened.bundle.components.find(({ component }) => component === "unet")!.refittable;
    const change = { kind: "dense", values: new Float32Array(3), shape: [3] } as const;
    await assert.rejects(emoji.engine.setStack([{ delta: emoji.handmade("bad", new Map([[weight!.name, change]])), scale: 1 }]), {
      code: "delta.invalid",
    });
    assertSameBits(await emoji.unetOutput(), ink, "after a refused stack");
  });

  test("a cancelled change leaves the stack that was there", async () => {
    const ink = await emoji.outputOf("ink");
    const aborted = AbortSignal.abort();
    await assert.rejects(emoji.engine.setStack(emoji.stackOf("hue"), aborted), { code: "cancelled" });
    assertSameBits(await emoji.unetOutput(), ink, "cancelled before it began");
    const hue = await emoji.outputOf("hue");
    await emoji.outputOf("ink");
    let cancelled = 0;
    for (let delay = 0; delay < 20; delay++) {
      const controller = new AbortController();
      const change = emoji.engine.setStack(emoji.stackOf("hue"), controller.signal).then(
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
      assertSameBits(await emoji.unetOutput(), outcome === "done" ? hue : ink, `cancelled after ${delay} ms: ${outcome}`);
      await emoji.outputOf("ink");
    }
    console.log(`# ${cancelled} of 20 changes were cancelled in their middle`);
  });

  test("200 random stacks: memory does not grow, and the way back is exact", async () => {
    const base = await emoji.outputOf("base");
    const names = Object.keys(STACKS);
    for (const name of names) await emoji.outputOf(name);
    const seen = new Map<string, Float32Array>();
    const start = { gpu: emoji.engine.memory().gpu!.free, host: process.memoryUsage().rss };
    let state = 5;
    for (let i = 0; i < 200; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      const name = names[state % names.length]!;
      const output = await emoji.outputOf(name);
      const known = seen.get(name);
      if (known) assertSameBits(output, known, `stack ${i}, ${name}`);
      else seen.set(name, output);
    }
    assertSameBits(await emoji.outputOf("base"), base, "the base after 200 stacks");
    const grown = { gpu: start.gpu - emoji.engine.memory().gpu!.free, host: process.memoryUsage().rss - start.host };
    console.log(`# after 200 stacks: GPU ${grown.gpu / 2 ** 20} MiB, host ${(grown.host / 2 ** 20).toFixed(1)} MiB more`);
    assert.ok(grown.gpu <= 4 * 2 ** 20, `the GPU's memory grew by ${grown.gpu} bytes`);
    assert.ok(grown.host <= 128 * 2 ** 20, `the host's memory grew by ${grown.host} bytes`);
  });
});
