import { expect, test } from "vitest";
import type { ModelFile } from "../../src/extension/files.ts";
import { toArguments } from "../../src/extension/tasks/definition.ts";
import { type DetectedTask, detectTasks } from "../../src/extension/tasks/detect.ts";

const FOLDER = "/w";

function file(path: string, summary: Partial<ModelFile["summary"]>, modified = 0): ModelFile {
  const whole = { path, kind: "undescribed", ...summary } as ModelFile["summary"];
  return { uri: { fsPath: path } as ModelFile["uri"], form: "safetensors", bytes: 1, modified, summary: whole };
}

const checkpoint = file("/w/models/sd.safetensors", { kind: "checkpoint", architecture: "sdxl" });
const engine = file("/w/engines/sd", { kind: "engine bundle", architecture: "sdxl", fingerprint: "f", checkpoint: "sd.safetensors" });
const ink = file("/w/loras/ink.safetensors", { kind: "lora", architecture: "sdxl" });

function detect(files: readonly ModelFile[], stacks: Readonly<Record<string, object[]>> = {}): DetectedTask[] {
  return detectTasks({ folders: [FOLDER], files, stackOf: (path) => (stacks[path] ?? []) as never });
}

const lines = (tasks: readonly DetectedTask[]): string[] => tasks.map(({ definition }) => toArguments(definition).join(" "));

test("a checkpoint is exported unless an engine was made of it", () => {
  expect(detect([checkpoint]).map(({ definition }) => definition)).toEqual([
    { type: "tensorrt", command: "export", checkpoint: "models/sd.safetensors" },
  ]);
  expect(detect([checkpoint, engine]).map(({ kind }) => kind)).toEqual(["generate", "bench"]);
  const twin = file("/w/other/sd.safetensors", { kind: "checkpoint" });
  const told = file("/w/engines/sd", { ...engine.summary, exportOptions: { checkpoint: "/w/models/sd.safetensors" } as never });
  expect(detect([checkpoint, twin, told])[0]).toMatchObject({ kind: "export", definition: { checkpoint: "other/sd.safetensors" } });
});

test("a LoRA that fits an engine becomes a delta, unless it is there", () => {
  const others = [
    file("/w/loras/old.safetensors", { kind: "lora", architecture: "sd1" }),
    file("/w/loras/unknown.safetensors", { kind: "lora" }),
    file("/w/loras/unread.safetensors", {}),
  ];
  const deltas = (files: readonly ModelFile[]): unknown[] =>
    detect([engine, ink, ...others, ...files]).flatMap(({ kind, names, definition }) =>
      kind === "delta" ? [[names, definition["lora"]]] : [],
    );
  // Of one whose header does not say what it is for, the job finds out.
  const unsure = [["unknown.safetensors", "sd"], "loras/unknown.safetensors"];
  expect(deltas([])).toEqual([[["ink.safetensors", "sd"], "loras/ink.safetensors"], unsure]);
  expect(deltas([file("/w/a.trt_lora", { kind: "delta", fingerprint: "f", loraFile: "ink.safetensors" })])).toEqual([unsure]);
  expect(deltas([file("/w/a.trt_lora", { kind: "delta", fingerprint: "g", loraFile: "ink.safetensors" })])).toHaveLength(2);
});

test("of thousands of LoRAs the ones changed last are offered", () => {
  const many = Array.from({ length: 5_000 }, (_, index) => file(`/w/loras/${index}.safetensors`, ink.summary, index));
  const offered = detect([engine, ...many]).filter(({ kind }) => kind === "delta");
  expect(offered).toHaveLength(50);
  expect(offered[0]!.names[0]).toBe("4999.safetensors");
});

test("an engine's stack is baked, or merged where it has two", () => {
  const entry = { file: "/w/loras/ink.safetensors", scale: 0.5, enabled: true };
  const outside = { file: "/elsewhere/hue.safetensors", scale: 1, textEncoderScale: 0.2, enabled: true };
  const off = { file: "/w/off.safetensors", scale: 1, enabled: false };
  expect(lines(detect([engine], { "/w/engines/sd": [entry, off] })).slice(2)).toEqual([
    "bake --output=engines/sd-baked.safetensors --lora=loras/ink.safetensors:0.5 -- engines/sd",
  ]);
  expect(lines(detect([engine], { "/w/engines/sd": [entry, outside] })).slice(2)).toEqual([
    "bake --output=engines/sd-baked.safetensors --lora=loras/ink.safetensors:0.5 --lora=/elsewhere/hue.safetensors:1:0.2 -- engines/sd",
    "merge-loras --output=engines/sd-stack.safetensors -- loras/ink.safetensors:0.5 /elsewhere/hue.safetensors:1:0.2",
  ]);
  expect(detect([engine], { "/w/engines/sd": [off] })).toHaveLength(2);
});

test("what lies outside the workspace is left to its own folder's window", () => {
  expect(detect([file("/elsewhere/x.safetensors", { kind: "checkpoint" }), file("/wide/x.safetensors", { kind: "checkpoint" })])).toEqual(
    [],
  );
});
