import { describe, expect, test } from "vitest";
import { loadNativeAddon } from "../../src/engines/native-addon.ts";
import { NativeArithmetic } from "../../src/engines/native-arithmetic.ts";
import { UserError } from "../../src/formats/errors.ts";
import type { MergeJob, MergeTerm } from "../../src/lora/merge.ts";

function arithmetic(threads = 2): NativeArithmetic {
  const result = loadNativeAddon();
  if (!result.addon) throw new Error(`${result.file}: ${result.reason}`);
  return new NativeArithmetic(result.addon, threads);
}

/** Numbers in (-1, 1) that repeat from run to run. */
function numbers(count: number, seed: number): Float32Array {
  return new Float32Array(count).map((_, i) => Math.sin((i + 1) * 12.9898 + seed * 78.233));
}

function lowRank(rows: number, columns: number, rank: number, scale: number): MergeTerm {
  return { scale, change: { kind: "lowRank", rank, up: numbers(rows * rank, rank), down: numbers(rank * columns, rank + 1) } };
}

function dense(rows: number, columns: number, scale: number): MergeTerm {
  return { scale, change: { kind: "dense", values: numbers(rows * columns, 5) } };
}

function job(rows: number, columns: number, terms: readonly MergeTerm[]): MergeJob {
  return { rows, columns, terms, base: numbers(rows * columns, 3), out: new Float32Array(rows * columns).fill(NaN) };
}

/** The largest difference from the same sum in double precision. */
function largestError({ rows, columns, base, terms, out }: MergeJob): number {
  let largest = 0;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      let sum = base[row * columns + column]!;
      for (const { change, scale } of terms) {
        if (change.kind === "dense") sum += scale * change.values[row * columns + column]!;
        else for (let k = 0; k < change.rank; k++) sum += scale * change.up[row * change.rank + k]! * change.down[k * columns + column]!;
      }
      const error = Math.abs(sum - out[row * columns + column]!);
      largest = error > largest || Number.isNaN(error) ? error : largest;
    }
  }
  return largest;
}

const cases = () => [
  job(64, 64, [lowRank(64, 64, 4, 0.3)]),
  job(320, 36, [lowRank(320, 36, 16, -0.5), lowRank(320, 36, 3, 1.7)]),
  job(5, 1031, [lowRank(5, 1031, 128, 1)]),
  job(70, 90, [dense(70, 90, 0.25), lowRank(70, 90, 8, 1), dense(70, 90, -2)]),
  job(1, 1, [dense(1, 1, 3)]),
  job(256, 9, []),
];

describe("merge", () => {
  test("equals the sum in double precision", async () => {
    const jobs = cases();
    await arithmetic().merge(jobs);
    for (const each of jobs) expect(largestError(each)).toBeLessThan(2e-5);
  });

  test("gives the same bits whatever the number of threads", async () => {
    const [one, five] = [cases(), cases()];
    await arithmetic(1).merge(one);
    await arithmetic(5).merge(five);
    expect(five.map(({ out }) => out)).toEqual(one.map(({ out }) => out));
  });

  test("without terms gives the base's own bits", async () => {
    const base = new Float32Array(new Uint32Array([0x80000000, 0x7fa00001, 0xff800000, 1]).buffer);
    const out = new Float32Array(4);
    await arithmetic().merge([{ rows: 2, columns: 2, base, terms: [], out }]);
    expect([...new Uint32Array(out.buffer)]).toEqual([0x80000000, 0x7fa00001, 0xff800000, 1]);
  });

  test("of nothing ends", async () => {
    await expect(arithmetic().merge([])).resolves.toBeUndefined();
  });

  test("does not touch the base", async () => {
    const one = job(64, 64, [lowRank(64, 64, 4, 1)]);
    await arithmetic().merge([one]);
    expect(one.base).toEqual(numbers(64 * 64, 3));
  });
});

describe("cancel", () => {
  test("before the start leaves the output as it was", async () => {
    const one = job(8, 8, [lowRank(8, 8, 2, 1)]);
    await expect(arithmetic().merge([one], AbortSignal.abort())).rejects.toMatchObject({ code: "cancelled" });
    expect(one.out).toEqual(new Float32Array(64).fill(NaN));
  });

  test("in the middle ends early with the same error", async () => {
    // 64 weights of rank 512, one thread: seconds of work, of which the first part alone is done.
    const shared = job(1024, 1024, [lowRank(1024, 1024, 512, 1)]);
    const jobs = Array.from({ length: 64 }, () => ({ ...shared, out: new Float32Array(1024 * 1024).fill(NaN) }));
    const controller = new AbortController();
    const merged = arithmetic(1).merge(jobs, controller.signal);
    controller.abort();
    await expect(merged).rejects.toBeInstanceOf(UserError);
    expect(jobs.at(-1)!.out.every(Number.isNaN)).toBe(true);
  });
});
