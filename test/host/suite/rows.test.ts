import assert from "node:assert/strict";
import { copyFileSync, existsSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import * as vscode from "vscode";
import type { ModelFile } from "../../../src/extension/files.ts";
import { engineNode } from "../../../src/extension/views/engineNodes.ts";
import { escapeMarkdown } from "../../../src/extension/views/texts.ts";
import { demoEngine, inWorkspace, withMessages } from "../harness/inside.ts";
import { test } from "../harness/runner.ts";

/** Copies of a LoRA under these names. */
function copies(...names: readonly string[]): vscode.Uri[] {
  return names.map((name) => {
    const path = inWorkspace("loras", `${name}.safetensors`);
    copyFileSync(inWorkspace("loras", "ink.safetensors"), path);
    return vscode.Uri.file(path);
  });
}

test("of several rows that are selected, all are deleted, after one question", async () => {
  const [first, second, other] = copies("first", "second", "other");
  const { messages } = await withMessages(
    async () => vscode.commands.executeCommand("tensorrt.delete", first, [first, second]),
    // A machine without a trash asks once more.
    (message) => (message.startsWith("Move 2 files") ? "Move to Trash" : "Delete Permanently"),
  );
  assert.deepEqual(
    [first, second, other].map((uri) => existsSync(uri!.fsPath)),
    [false, false, true],
  );
  assert.ok(messages.length <= 2, messages.join("\n"));
  rmSync(other!.fsPath);
});

test("turned away, nothing is deleted", async () => {
  const uris = copies("first", "second");
  await withMessages(async () => vscode.commands.executeCommand("tensorrt.delete", uris[0], uris));
  for (const { fsPath } of uris) {
    assert.ok(existsSync(fsPath));
    rmSync(fsPath);
  }
});

test("of several LoRAs that are selected, each becomes a delta", async () => {
  const { bundle } = await demoEngine();
  const loras = copies("first", "second");
  const { messages } = await withMessages(async () =>
    vscode.commands.executeCommand("tensorrt.exportDelta", loras[0], [vscode.Uri.file(bundle), ...loras]),
  );
  for (const name of ["first", "second"]) {
    const delta = join(dirname(bundle), `emoji-xl_${name}_s1.00.trt_lora`);
    assert.ok(existsSync(delta), delta);
    rmSync(delta);
  }
  assert.equal(messages.length, 2);
  for (const { fsPath } of loras) rmSync(fsPath);
});

test("an engine's row says what it was built for, and why it cannot run here before all else", () => {
  const path = "/e/for-an-h200";
  const summary = {
    path,
    kind: "engine bundle",
    architectureLabel: "SDXL",
    precision: "fp8",
    backend: "tensorrt",
    computeCapability: "9.0",
  } as const;
  const file: ModelFile = { uri: vscode.Uri.file(path), form: "bundle", bytes: 1, modified: 1, summary: { ...summary, bundleBytes: 7e9 } };
  const usable = engineNode(file, { loaded: undefined, stackSize: 0, problem: undefined });
  assert.equal(usable.item.description, "SDXL · fp8 · 7.0 GB · tensorrt · compute 9.0");
  const problem = "There is no NVIDIA GPU.";
  const unusable = engineNode(file, { loaded: undefined, stackSize: 0, problem });
  assert.equal(unusable.item.description, `${problem} · SDXL · fp8 · 7.0 GB · tensorrt · compute 9.0`);
  assert.deepEqual([unusable.kind, unusable.item.id], ["engine.unusable", usable.item.id]);
  // The row has the engine's name: what follows is the reason, not the way to its folder.
  for (const [sentence, reason] of [
    [`${path} was built for compute capability 9.0; A has 8.6.`, "was built for compute capability 9.0; A has 8.6."],
    [`${path}: the configuration is not valid.`, "the configuration is not valid."],
    [`${path}/unet.engine is missing from the engine bundle ${path}.`, "unet.engine is missing from the engine bundle for-an-h200."],
  ] as const) {
    const { description, tooltip } = engineNode(file, { loaded: undefined, stackSize: 0, problem: sentence }).item;
    assert.equal(description, `${reason} · SDXL · fp8 · 7.0 GB · tensorrt · compute 9.0`);
    assert.ok((tooltip as vscode.MarkdownString).value.includes(escapeMarkdown(sentence)), "the tooltip has all of it");
  }
});
