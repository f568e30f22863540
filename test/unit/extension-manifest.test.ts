import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { toArguments } from "../../src/extension/tasks/definition.ts";
import { backendSchema, generateOptionsSchema, samplerSchema, scheduleSchema } from "../../src/jobs/options.ts";

interface Property {
  readonly enum?: readonly string[];
  readonly default?: unknown;
}

interface Manifest {
  readonly contributes: {
    readonly configuration: { readonly properties: Readonly<Record<string, Property>> };
    readonly problemMatchers: readonly [{ readonly pattern: { readonly regexp: string } }];
  };
}

const root = join(import.meta.dirname, "..", "..");
const manifestText = readFileSync(join(root, "package.json"), "utf8");
const { contributes } = JSON.parse(manifestText) as Manifest;
const settings = contributes.configuration.properties;

function readJson(file: string): Record<string, string> {
  return JSON.parse(readFileSync(join(root, file), "utf8")) as Record<string, string>;
}

test("every text of package.json is in package.nls.json, and no other", () => {
  const used = [...manifestText.matchAll(/"%([\w.]+)%"/g)].map(([, key]) => key!);
  expect([...new Set(used)].toSorted()).toEqual(Object.keys(readJson("package.nls.json")).toSorted());
});

test("l10n/bundle.l10n.json holds every text of the extension, and no other", () => {
  const folder = join(root, "src", "extension");
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
  const sources = files.map((name) => readFileSync(join(folder, name), "utf8")).join("\n");
  const calls = [...sources.matchAll(/l10n\.t\(/g)];
  const texts = [...sources.matchAll(/l10n\.t\(\s*"((?:[^"\\]|\\.)*)"/g)].map(([, text]) => JSON.parse(`"${text!}"`) as string);
  expect(texts.length, "calls with a literal text").toBe(calls.length);
  const bundle = readJson("l10n/bundle.l10n.json");
  expect(Object.keys(bundle).toSorted()).toEqual([...new Set(texts)].toSorted());
  for (const [text, translation] of Object.entries(bundle)) expect(translation).toBe(text);
});

test.each([
  ["setting backend", settings["tensorrt.backend"], backendSchema.options],
  ["setting sampler", settings["tensorrt.generate.sampler"], samplerSchema.options],
  ["setting schedule", settings["tensorrt.generate.schedule"], scheduleSchema.options],
] as const)("%s offers what the jobs take", (_name, property, values) => {
  expect(property?.enum).toEqual(values);
});

test.each(["steps", "cfg", "sampler", "schedule", "negative"] as const)("setting generate.%s has the job's default", (option) => {
  const defaults = generateOptionsSchema.parse({ engine: "e", prompt: "p" });
  expect(settings[`tensorrt.generate.${option}`]?.default).toBe(defaults[option]);
});

test.each([
  [
    { command: "export", checkpoint: "a b.safetensors", batch: [1, 1, 4], static: true, keepOnnx: true, dense: false },
    ["export", "--batch=1,1,4", "--static", "--keep-onnx", "--", "a b.safetensors"],
  ],
  [
    { command: "delta", lora: "-ink.safetensors", engine: "e", strength: -0.5 },
    ["delta", "--strength=-0.5", "--", "e", "-ink.safetensors"],
  ],
  [
    {
      command: "generate",
      engine: "e",
      prompt: "--a, b",
      lora: ["x", { file: "y", scale: -0.3 }, { file: "z", textEncoderScale: 0.3, blockWeights: "1,0" }],
    },
    ["generate", "--prompt=--a, b", "--lora=x", "--lora=y:-0.3", "--lora=z:1:0.3:lbw=1,0", "--", "e"],
  ],
  [
    { command: "generate", engine: "e", prompt: "", seed: "18446744073709551615", cfgRescale: 0 },
    ["generate", "--prompt=", "--seed=18446744073709551615", "--cfg-rescale=0", "--", "e"],
  ],
  [{ command: "generate", jobs: "a.tensorrt.jsonl" }, ["generate", "--jobs=a.tensorrt.jsonl", "--"]],
  [{ command: "grid", engine: "e", prompt: "p", x: "cfg=4,7" }, ["grid", "--prompt=p", "--x=cfg=4,7", "--", "e"]],
  [
    { command: "bake", checkpoint: "c.safetensors", lora: [{ file: "a", scale: 0.5 }], output: "o.safetensors" },
    ["bake", "--lora=a:0.5", "--output=o.safetensors", "--", "c.safetensors"],
  ],
  [
    { command: "extract", original: "a", tuned: "b", output: "o", energy: 0.99, components: ["unet", "text_encoder"] },
    ["extract", "--output=o", "--energy=0.99", "--components=unet,text_encoder", "--", "a", "b"],
  ],
  [
    { command: "merge-loras", lora: ["a", { file: "b", scale: -1 }], output: "o", rank: 8 },
    ["merge-loras", "--output=o", "--rank=8", "--", "a", "b:-1"],
  ],
] as const)("a task's definition becomes the command line: %j", (definition, words) => {
  expect(toArguments({ type: "tensorrt", ...definition })).toEqual(words);
});

test("a task without its file says which", () => {
  expect(() => toArguments({ type: "tensorrt", command: "delta", engine: "e" })).toThrow('The task "delta" needs "lora"');
});

test.each([
  [
    "/a b/x.safetensors:1:1: error: It is cut off. [file.truncated]",
    ["/a b/x.safetensors", "1", "1", "error", "It is cut off.", "file.truncated"],
  ],
  ["C:\\m\\x.safetensors:1:1: error: x [1] y [internal]", ["C:\\m\\x.safetensors", "1", "1", "error", "x [1] y", "internal"]],
])("the problem matcher reads %s", (line, parts) => {
  expect(new RegExp(contributes.problemMatchers[0].pattern.regexp).exec(line)?.slice(1)).toEqual(parts);
});

test.each(["tensorrt-redux: error: Wrong option. [option.invalid]", "info: loaded /a/b"])("the problem matcher leaves %s alone", (line) => {
  expect(new RegExp(contributes.problemMatchers[0].pattern.regexp).test(line)).toBe(false);
});
