import { expect, test } from "vitest";
import { packChanges } from "../../src/engines/tensorrt/packed-changes.ts";

test("changes become tables: files and arrays by their place, types by number, programs by rows", () => {
  const values = Float32Array.of(1, 2);
  const up = { file: "a", offset: 16, count: 8, dtype: "F16" } as const;
  const down = { file: "b", offset: 5_000_000_000, count: 4, dtype: "BF16" } as const;
  const code = Float64Array.of(7);
  const packed = packChanges([
    { name: "first", terms: [{ up, down, rank: 2, scale: 0.5 }] },
    { name: "second", terms: [], program: { factors: [{ data: values, dtype: "F32" }, up], scratch: [3], code } },
    { name: "third", terms: [{ up: { data: values, dtype: "F32" }, rank: 0, scale: -1 }] },
  ]);
  expect(packed.names).toEqual(["first", "second", "third"]);
  expect([...packed.terms]).toEqual([0, 2, 0.5, 0, 1, 2, 0, -1, 4, -1]);
  expect([...packed.factors]).toEqual([0, 16, 8, 1, 1, 5_000_000_000, 4, 2, -1, 0, 0, 0, 0, 16, 8, 1, -2, 0, 0, 0]);
  expect(packed.files).toEqual(["a", "b"]);
  expect(packed.data).toEqual([values, values]);
  expect(packed.programs).toEqual([{ change: 1, factors: [2, 3], scratch: [3], code }]);
});

test("no change is no row", () => {
  expect(packChanges([])).toEqual({
    names: [],
    terms: new Float64Array(),
    factors: new Float64Array(),
    files: [],
    data: [],
    programs: [],
  });
});
