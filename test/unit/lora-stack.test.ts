import { describe, expect, it } from "vitest";
import type { Delta, LinearChange, StackEntry } from "../../src/lora/delta.ts";
import { matrixSize, type StackJob } from "../../src/lora/merge.ts";
import { OnnxRuntimeArithmetic } from "../../src/lora/onnxruntime-arithmetic.ts";
import { StackArithmetic } from "../../src/lora/stack-arithmetic.ts";
import { planStack } from "../../src/lora/stack.ts";

let state = 7;

/** Numbers from -1 to 1, the same in every run (Park and Miller's generator). */
function random(): number {
  state = (state * 48_271) % 0x7fffffff;
  return (state / 0x7fffffff) * 2 - 1;
}

function numbers(count: number): Float32Array {
  return Float32Array.from({ length: count }, random);
}

const SHAPES = new Map<string, readonly number[]>([
  ["linear", [33, 17]],
  ["convolution", [8, 5, 3, 3]],
  ["large", [200, 120]],
  ["vector", [12]],
]);

const BASE = new Map(
  Array.from(SHAPES, ([name, shape]) => {
    const values = numbers(shape.reduce((product, size) => product * size, 1));
    values[0] = -0;
    return [name, values] as const;
  }),
);

function lowRank(shape: readonly number[], rank: number): LinearChange & { shape: readonly number[] } {
  const { rows, columns } = matrixSize(shape);
  return { kind: "lowRank", rank, up: numbers(rows * rank), down: numbers(rank * columns), shape };
}

function dense(shape: readonly number[]): LinearChange & { shape: readonly number[] } {
  return { kind: "dense", values: numbers(shape.reduce((product, size) => product * size, 1)), shape };
}

function delta(file: string, changes: Delta["changes"]): Delta {
  return { file, architecture: "sdxl", baseFingerprint: "", loraFile: file, strength: 1, changes };
}

const DELTAS = [
  delta(
    "a",
    new Map([
      ["linear", lowRank([33, 17], 4)],
      ["large", lowRank([200, 120], 8)],
    ]),
  ),
  delta(
    "b",
    new Map([
      ["linear", lowRank([33, 17], 1)],
      ["convolution", lowRank([8, 5, 3, 3], 3)],
      ["vector", dense([12])],
    ]),
  ),
  delta(
    "c",
    new Map([
      ["linear", dense([33, 17])],
      ["large", dense([200, 120])],
    ]),
  ),
];

const arithmetic = new StackArithmetic(new OnnxRuntimeArithmetic(2));

/** Weights held as an engine holds them: those that differ from the base, by name. */
class Weights {
  readonly changed = new Map<string, Float32Array>();

  async set(stack: readonly StackEntry[]): Promise<void> {
    const { merge, restore } = planStack(this.changed.keys(), stack);
    for (const name of restore) this.changed.delete(name);
    const jobs = merge.map(({ name, shape, terms }): StackJob & { name: string } => {
      const base = BASE.get(name)!;
      return { name, base, ...matrixSize(shape), terms, out: new Float32Array(base.length) };
    });
    await arithmetic.merge(jobs);
    for (const { name, out } of jobs) this.changed.set(name, out);
  }

  /** The bits of every weight. */
  bits(): Map<string, Uint32Array> {
    return new Map(
      Array.from(BASE, ([name, base]) => {
        const values = this.changed.get(name) ?? base;
        return [name, new Uint32Array(values.slice().buffer)];
      }),
    );
  }

  values(name: string): Float32Array {
    return this.changed.get(name) ?? BASE.get(name)!;
  }
}

const BASE_BITS = new Weights().bits();

/** W + Σ scale·Δ in double precision, element by element. */
function formula(name: string, stack: readonly StackEntry[]): Float64Array {
  const { rows, columns } = matrixSize(SHAPES.get(name)!);
  const out = Float64Array.from(BASE.get(name)!);
  for (const {
    delta: { changes },
    scale,
  } of stack) {
    const change = changes.get(name);
    if (!change || change.kind === "factored") continue;
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const index = row * columns + column;
        if (change.kind === "dense") out[index]! += scale * change.values[index]!;
        else
          for (let r = 0; r < change.rank; r++)
            out[index]! += scale * change.up[row * change.rank + r]! * change.down[r * columns + column]!;
      }
    }
  }
  return out;
}

function expectClose(actual: Float32Array, expected: ArrayLike<number>): void {
  let error = 0;
  for (let i = 0; i < actual.length; i++) error = Math.max(error, Math.abs(actual[i]! - expected[i]!));
  expect(error).toBeLessThanOrEqual(5e-6);
}

describe("a stack's weights", () => {
  const [a, b, c] = DELTAS as [Delta, Delta, Delta];
  it.each<readonly [string, StackEntry[]]>([
    ["one", [{ delta: a, scale: 1 }]],
    ["negative", [{ delta: b, scale: -0.5 }]],
    ["dense alone", [{ delta: c, scale: 0.3 }]],
    [
      "all",
      [
        { delta: a, scale: 0.4 },
        { delta: b, scale: 1.7 },
        { delta: c, scale: -1 },
      ],
    ],
    [
      "twice the same",
      [
        { delta: a, scale: 0.4 },
        { delta: a, scale: 0.6 },
      ],
    ],
  ])("%s: W + Σ scale·Δ", async (_, stack) => {
    const weights = new Weights();
    await weights.set(stack);
    for (const name of SHAPES.keys()) expectClose(weights.values(name), formula(name, stack));
    expect(weights.bits()).not.toEqual(BASE_BITS);
  });

  it("do not depend on the order, but for rounding", async () => {
    const [one, other] = [new Weights(), new Weights()];
    const stack = DELTAS.map((each, index) => ({ delta: each, scale: 0.3 * (index + 1) }));
    await one.set(stack);
    await other.set(stack.toReversed());
    for (const name of SHAPES.keys()) expectClose(one.values(name), other.values(name));
  });

  it.each<readonly [string, StackEntry[]]>([
    ["scale 0", DELTAS.map((each) => ({ delta: each, scale: 0 }))],
    ["scale -0", [{ delta: a, scale: -0 }]],
    [
      "scales that cancel",
      [
        { delta: a, scale: 0.7 },
        { delta: a, scale: -0.7 },
      ],
    ],
    ["an empty stack", []],
  ])("%s: the base's bits", async (_, stack) => {
    const weights = new Weights();
    await weights.set([{ delta: b, scale: 1 }]);
    await weights.set(stack);
    expect(weights.bits()).toEqual(BASE_BITS);
  });

  it("of A, B, A: A's bits", async () => {
    const weights = new Weights();
    await weights.set([{ delta: a, scale: 0.9 }]);
    const first = weights.bits();
    await weights.set([
      { delta: b, scale: 1.3 },
      { delta: c, scale: 1 },
    ]);
    await weights.set([{ delta: a, scale: 0.9 }]);
    expect(weights.bits()).toEqual(first);
  });

  it("end a random walk of 50 stacks in the base's bits", async () => {
    const weights = new Weights();
    for (let step = 0; step < 50; step++) {
      const stack = DELTAS.filter(() => random() > 0).map((each) => ({ delta: each, scale: 2 * random() }));
      await weights.set(stack);
      for (const name of SHAPES.keys()) expectClose(weights.values(name), formula(name, stack));
    }
    await weights.set([]);
    expect(weights.bits()).toEqual(BASE_BITS);
  });

  it.each([NaN, Infinity])("refuse the scale %d", (scale) => {
    expect(() => planStack([], [{ delta: a, scale }])).toThrow(/scale .* is not a finite number/);
  });

  it("plan the weights that were or will be changed, and no other", () => {
    const { merge, restore } = planStack(["large", "linear"], [{ delta: b, scale: 1 }]);
    expect(merge.map(({ name }) => name).toSorted()).toEqual(["convolution", "linear", "vector"]);
    expect(restore).toEqual(["large"]);
  });

  it("stop when cancelled", async () => {
    const base = new Float32Array(4);
    const job = { base, rows: 2, columns: 2, terms: [], out: base.slice() };
    await expect(arithmetic.merge([job], AbortSignal.abort())).rejects.toMatchObject({ code: "cancelled" });
  });
});
