import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { toArguments } from "../../src/extension/tasks/definition.ts";
import { backendSchema, generateOptionsSchema, samplerSchema, scheduleSchema } from "../../src/jobs/options.ts";

interface Property {
  readonly enum?: readonly string[];
  readonly default?: unknown;
  readonly scope?: string;
}

interface Manifest {
  readonly contributes: {
    readonly configuration: readonly { readonly properties: Readonly<Record<string, Property>> }[];
    readonly problemMatchers: readonly [{ readonly pattern: { readonly regexp: string } }];
  };
  readonly capabilities: { readonly untrustedWorkspaces: { readonly restrictedConfigurations: readonly string[] } };
}

const manifest = join(import.meta.dirname, "..", "..", "package.json");
const { capabilities, contributes } = JSON.parse(readFileSync(manifest, "utf8")) as Manifest;
const settings: Readonly<Record<string, Property>> = Object.assign({}, ...contributes.configuration.map(({ properties }) => properties));

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

test("what names a place on a machine is that machine's to say, and no workspace's that is not trusted", () => {
  const places = Object.keys(settings).filter((name) => /(Paths?|Folder|Cache)$/.test(name));
  expect(places.length).toBeGreaterThan(4);
  for (const name of places) expect(settings[name]?.scope, name).toBe("machine-overridable");
  expect(places.filter((name) => !capabilities.untrustedWorkspaces.restrictedConfigurations.includes(name))).toEqual([]);
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
