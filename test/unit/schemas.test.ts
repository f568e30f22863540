import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { batchLineSchema, engineSchema, generated, taskProperties } from "../../scripts/make-schemas.ts";

const ROOT = join(import.meta.dirname, "..", "..");

test.each([...generated()])("%s is up to date (npm run schemas)", (file, content) => {
  expect(JSON.parse(readFileSync(join(ROOT, file), "utf8"))).toEqual(content);
});

test("an option that several commands have says what each takes, and a default that is the same for all", () => {
  const { batch, steps, strength, width } = taskProperties();
  expect(batch!.anyOf!.map((form) => (form as { type: string }).type)).toEqual(["array", "integer"]);
  expect(steps!.default).toBe(20);
  expect(strength!.default, "1 of a delta, 0.75 of a picture").toBeUndefined();
  expect(width!.anyOf).toHaveLength(2);
});

test("limits say what a person means", () => {
  const { width, seed, computeCapability } = taskProperties();
  expect(width!.anyOf).toContainEqual({ type: "integer", minimum: 1 });
  expect(JSON.stringify([seed, width])).not.toContain(String(Number.MAX_SAFE_INTEGER));
  expect(computeCapability!.items).toMatchObject({ pattern: "^\\d{1,2}\\.\\d$" });
});

test("lines of batch files take generate's options but for what programs alone use", () => {
  const { properties } = batchLineSchema();
  expect(Object.keys(properties!)).toContain("cfgRescale");
  expect(Object.keys(properties!)).not.toContain("previewEvery");
});

test("every field of engine.json has a description, but those that only code reads", () => {
  const { properties } = engineSchema().else as { properties: Record<string, { description?: string }> };
  const silent = Object.keys(properties).filter((name) => properties[name]!.description === undefined);
  expect(silent).toEqual([]);
});
