/* oxlint-disable typescript/no-floating-promises -- The promises of node:test are its runner's to await. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { chooseArithmetic } from "../../src/engines/arithmetic.ts";
import { readBaseWeights } from "../../src/engines/base-weights.ts";
import { openStoredDelta } from "../../src/engines/tensorrt/stored-delta.ts";
import { changeTensor, writeDeltaFile, type ChangeSource, type ChangeTensor } from "../../src/formats/delta-writer.ts";
import { fromFloat32, toFloat32, type WeightDtype } from "../../src/formats/numbers.ts";
import { describeBase } from "../../src/jobs/base-description.ts";
import type { RefittableWeight } from "../../src/formats/engine-bundle.ts";
import type { Delta, StackEntry, WeightChange } from "../../src/lora/delta.ts";
import { matrixSize } from "../../src/lora/merge.ts";
import { planStack } from "../../src/lora/stack.ts";
import { MADE_KINDS, madeChange } from "../fixtures/lora/made-kinds.ts";
import { cosine } from "./cases.ts";
import { assertSameBits, Emoji, WORK } from "./emoji.ts";

let emoji: Emoji;
let weights: { readonly weight: RefittableWeight; readonly values: Float32Array }[];
const arithmetic = chooseArithmetic();

before(async () => {
  emoji = await Emoji.load();
  const { folder, bundle } = emoji.opened;
  const all = bundle.components.find(({ component }) => component === "unet")!.refittable;
  const values = new Map((await readBaseWeights(folder, all)).map((weight) => [weight.name, weight.values]));
  weights = all.map((weight) => ({ weight, values: values.get(weight.name)! }));
});
after(() => emoji?.close());

type Changes = Map<string, WeightChange & { readonly shape: readonly number[] }>;

/** A delta of one kind on every weight of the UNet that it can change, or of one in so many. */
function deltaOf(kind: string, seed: number, every = 1): Delta {
  const changes: Changes = new Map();
  for (const [index, { weight, values }] of weights.entries()) {
    if (index % every !== seed % every) continue;
    const change = madeChange(kind, { shape: weight.shape, values }, seed + index);
    if (change) changes.set(weight.name, change);
  }
  return emoji.handmade(kind, changes);
}

/** One of a kind on every weight that it can change, of a rank that the matrix units take, its factors in a file. */
async function storedDelta(kind: string, dtype: WeightDtype): Promise<Delta> {
  const { bundle, architecture } = emoji.opened;
  const changes = weights.flatMap(({ weight, values }, index): ChangeSource[] => {
    const change = madeChange(kind, { shape: weight.shape, values }, index, 8);
    if (!change) return [];
    const factors = new Map<string, ChangeTensor>();
    for (const [name, factor] of change.parts[0]!.factors) factors.set(name, changeTensor(factor.values, factor.shape, dtype));
    return [{ name: weight.name, kind: "factors", factors }];
  });
  const file = join(WORK, `${kind}-${dtype}.trt_lora`);
  const metadata = {
    baseEngine: bundle.name,
    baseFingerprint: bundle.checkpoint.fingerprint,
    architecture,
    loraFile: file,
    loraStrength: 1,
  };
  await writeDeltaFile(file, metadata, changes);
  return (await openStoredDelta(file, describeBase(emoji.opened)))!;
}

/** What the host's arithmetic makes of a stack, as dense changes that the engine adds to its base without another rounding. */
async function mergedOnHost(stack: readonly StackEntry[]): Promise<Delta> {
  const bases = new Map(weights.map(({ weight, values }) => [weight.name, { values, dtype: weight.dtype }]));
  const changes: Changes = new Map();
  for (const { name, shape, terms } of planStack([], stack).merge) {
    const { values: base, dtype } = bases.get(name)!;
    const out = new Float32Array(base.length);
    await arithmetic.merge([{ base, ...matrixSize(shape), shape, terms, out }]);
    const rounded = toFloat32(fromFloat32(out, dtype as "F16"), dtype as "F16");
    changes.set(name, { kind: "dense", values: rounded.map((value, index) => value - base[index]!), shape });
  }
  return emoji.handmade("host", changes);
}

async function outputOf(stack: readonly StackEntry[]): Promise<Float32Array> {
  await emoji.engine.setStack(stack);
  return emoji.unetOutput();
}

describe("every kind of change on the UNet's own weights", () => {
  for (const [seed, kind] of Object.keys(MADE_KINDS).entries()) {
    test(kind, async () => {
      const base = await outputOf([]);
      const stack = [{ delta: deltaOf(kind, seed), scale: 0.7 }];
      const onGpu = await outputOf(stack);
      const onHost = await outputOf([{ delta: await mergedOnHost(stack), scale: 1 }]);
      const found = cosine(onGpu, onHost);
      console.log(
        `# ${kind}: ${stack[0]!.delta.changes.size} weights, cosine to the host's merge ${found.toFixed(8)}, to the base ${cosine(onGpu, base).toFixed(6)}`,
      );
      assert.ok(onGpu.every(Number.isFinite), "the output is finite");
      assert.ok(cosine(onGpu, base) < 0.999999, "the change changes something");
      assert.ok(found > 0.99999, `cosine to the host's merge: ${found}`);
      assertSameBits(await outputOf(stack), onGpu, "once more");
      assertSameBits(await outputOf([]), base, "the base again");
    });
  }
});

describe("factors of 16 bits that stay in a delta's file, multiplied by the matrix units", () => {
  for (const dtype of ["F16", "BF16"] as const) {
    for (const kind of ["LoHa", "LoKr", "DoRA", "GLoRA"]) {
      test(`${kind}, ${dtype}`, async () => {
        const stack = [{ delta: await storedDelta(kind, dtype), scale: 0.7 }];
        const onGpu = await outputOf(stack);
        const found = cosine(onGpu, await outputOf([{ delta: await mergedOnHost(stack), scale: 1 }]));
        console.log(`# ${kind}, ${dtype}: cosine to the host's merge ${found.toFixed(8)}`);
        assert.ok(found > 0.99999, `cosine to the host's merge: ${found}`);
        assert.ok(cosine(onGpu, await outputOf([])) < 0.999999, "the change changes something");
      });
    }
  }
});

describe("stacks of several kinds", () => {
  const kinds = ["DoRA", "LoKr", "OFT", "GLoRA", "LoHa, Tucker", "BOFT, PEFT", "LoRA"];

  test("in their order, as on the host; A, then B, then A gives A's bits", async () => {
    const base = await outputOf([]);
    const first = kinds.slice(0, 4).map((kind, index) => ({ delta: deltaOf(kind, index), scale: 0.4 + 0.1 * index }));
    const second = kinds.slice(3).map((kind, index) => ({ delta: deltaOf(kind, 20 + index), scale: 0.5 }));
    const a = await outputOf(first);
    const found = cosine(a, await outputOf([{ delta: await mergedOnHost(first), scale: 1 }]));
    assert.ok(found > 0.99999, `cosine to the host's merge: ${found}`);
    assert.ok(cosine(await outputOf(second), a) < 0.999999, "the stacks differ");
    assertSameBits(await outputOf(first), a, "A again");
    assertSameBits(await outputOf([]), base, "the base again");
  });

  test("a walk of 100 changes over all kinds ends in the base's bits, without growth of the GPU's memory", async () => {
    const base = await outputOf([]);
    const deltas = Object.keys(MADE_KINDS).map((kind, index) => deltaOf(kind, index, 5));
    const seen = new Map<string, Float32Array>();
    let state = 3;
    const next = (below: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    let start = 0;
    for (let step = 0; step < 100; step++) {
      if (step === 20) start = emoji.engine.memory().gpu!.free;
      const chosen = Array.from({ length: next(4) }, () => [next(deltas.length), [-0.5, 0.3, 1][next(3)]!] as const);
      const output = await outputOf(chosen.map(([index, scale]) => ({ delta: deltas[index]!, scale })));
      const known = seen.get(JSON.stringify(chosen));
      if (known) assertSameBits(output, known, `step ${step}`);
      seen.set(JSON.stringify(chosen), output);
    }
    assertSameBits(await outputOf([]), base, "the base after 100 changes");
    const grown = start - emoji.engine.memory().gpu!.free;
    console.log(`# ${seen.size} different stacks; the GPU's memory grew by ${(grown / 2 ** 20).toFixed(1)} MiB after the 20th`);
    assert.ok(grown <= 32 * 2 ** 20, `the GPU's memory grew by ${grown} bytes`);
  });
});
