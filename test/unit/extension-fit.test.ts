import { expect, test } from "vitest";
import { fits, fittingEngines, onlyFit } from "../../src/extension/fit.ts";
import type { Summary } from "../../src/extension/files.ts";

type Kind = Summary["kind"];
const model = (path: string, kind: Kind, architecture: Summary["architecture"], fingerprint?: string) => ({
  path,
  summary: { kind, ...(architecture && { architecture }), ...(fingerprint !== undefined && { fingerprint }) },
});
const lora = model("lora", "lora", "sdxl");
/** The checkpoint that engines of the fingerprint "x" were exported from. */
const checkpointOf = (fingerprint: string) => Promise.resolve(fingerprint === "x" ? "x.safetensors" : undefined);

const ENGINE = model("x-engine", "engine bundle", "sdxl", "x");
const CHECKPOINT = model("x.safetensors", "checkpoint", "sdxl");

test("a LoRA fits engines of its architecture, a delta the one it was made for; where headers do not say, neither is told", () => {
  expect(fits(lora, ENGINE)).toBe(true);
  expect(fits(lora, model("y", "engine bundle", "sd1", "y"))).toBe(false);
  expect(fits(model("lora", "lora", undefined), ENGINE)).toBeUndefined();
  expect(fits(model("delta", "delta", "sdxl", "x"), ENGINE)).toBe(true);
  expect(fits(model("delta", "delta", "sdxl", "z"), ENGINE)).toBe(false);
});

test("of several engines those are named that fit; where headers do not say, none is", () => {
  const [other, copy] = [model("y", "engine bundle", "sd1", "y"), model("x-fp8", "engine bundle", "sdxl", "x")];
  const names = (file: typeof lora) => fittingEngines(file, [ENGINE, other, copy])?.map(({ path }) => path);
  expect(names(lora)).toEqual(["x-engine", "x-fp8"]);
  expect(names(model("delta", "delta", undefined, "y"))).toEqual(["y"]);
  expect(names(model("delta", "delta", "sdxl", "z"))).toEqual([]);
  expect(names(model("delta of version 1", "delta", undefined))).toBeUndefined();
  expect(names(model("lora", "lora", undefined))).toBeUndefined();
  expect(names(model("unread", "undescribed", "sdxl"))).toBeUndefined();
});

test.each([
  ["the only engine", [ENGINE, model("y", "engine bundle", "sd1", "y")], "x-engine"],
  ["the only checkpoint", [CHECKPOINT, model("flux", "checkpoint", "flux")], "x.safetensors"],
  ["an engine and its checkpoint", [CHECKPOINT, ENGINE], "x-engine"],
  ["two engines of one checkpoint", [ENGINE, model("x-fp8", "engine bundle", "sdxl", "x"), CHECKPOINT], "x-engine"],
  ["nothing where none is there", [], undefined],
  ["one whose header does not say its architecture", [model("?", "engine bundle", undefined, "q")], "?"],
  ["nothing of two, one of which does not say its architecture", [ENGINE, model("?", "checkpoint", undefined)], undefined],
  ["nothing of two engines", [ENGINE, model("y", "engine bundle", "sdxl", "y")], undefined],
  ["nothing of two checkpoints", [CHECKPOINT, model("y.safetensors", "checkpoint", "sdxl")], undefined],
  ["nothing of an engine and another checkpoint", [ENGINE, model("y.safetensors", "checkpoint", "sdxl")], undefined],
])("a LoRA is measured against %s", async (_, models, path) => {
  expect(await onlyFit(lora, models, checkpointOf)).toBe(path);
});
