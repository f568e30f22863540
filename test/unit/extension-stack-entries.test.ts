import { expect, test } from "vitest";
import { isSameStack, moved, type Stack, steppedScale, withChanges, withEntry, without } from "../../src/extension/stack/entries.ts";

const STACK: Stack = ["a", "b", "c"].map((file, index) => ({ file, scale: index + 1, enabled: true }));
const files = (stack: Stack) => stack.map(({ file }) => file).join("");

test("a new file comes last, or where it was dropped", () => {
  expect(withEntry(STACK, "d").at(-1)).toEqual({ file: "d", scale: 1, enabled: true });
  expect(files(withEntry(STACK, "d", { scale: 0.5 }, 1))).toBe("adbc");
});

test("a file that is there already stays in its place, switched on, with its scale unless another is given", () => {
  const off = withChanges(STACK, ["b"], { enabled: false });
  expect(off[1]).toEqual({ file: "b", scale: 2, enabled: false });
  expect(withEntry(off, "b")).toEqual(STACK);
  expect(withEntry(off, "b", { scale: 0.3 })[1]).toEqual({ file: "b", scale: 0.3, enabled: true });
});

test.each([
  [["c"], "a", "cab"],
  [["a"], undefined, "bca"],
  [["a", "c"], "b", "acb"],
  [["b"], "b", "abc"],
  [["a"], "gone", "bca"],
] as const)("%s moved before %s", (chosen, target, expected) => {
  expect(files(moved(STACK, chosen, target))).toBe(expected);
});

test("files are taken off", () => {
  expect(files(without(STACK, ["a", "c", "gone"]))).toBe("b");
});

test.each([
  [0.1, 0.2, 0.3],
  [1, -0.05, 0.95],
  [0.05, -0.1, -0.05],
])("%d stepped by %d is %d", (scale, step, expected) => {
  expect(steppedScale(scale, step)).toBe(expected);
});

test("a worker's stack is the same where its defaults are", () => {
  expect(isSameStack([{ file: "a" }, { file: "b", scale: 2 }, { file: "c", scale: 3, enabled: true }], STACK)).toBe(true);
  expect(isSameStack(withChanges(STACK, ["a"], { enabled: false }), STACK)).toBe(false);
  expect(isSameStack(withChanges(STACK, ["a"], { textEncoderScale: 1 }), STACK)).toBe(false);
  expect(isSameStack(moved(STACK, ["a"], undefined), STACK)).toBe(false);
  expect(isSameStack(STACK.slice(1), STACK)).toBe(false);
});
