import assert from "node:assert/strict";
import * as vscode from "vscode";
import type { EngineProblems } from "../../../src/extension/engineProblems.ts";
import type { ModelFile, ModelFiles } from "../../../src/extension/files.ts";
import type { Stacks } from "../../../src/extension/stack/stacks.ts";
import { DeltasView } from "../../../src/extension/views/deltas.ts";
import { EnginesView } from "../../../src/extension/views/engines.ts";
import { adapterNode, engineNode } from "../../../src/extension/views/nodes.ts";
import type { WorkerHost } from "../../../src/extension/worker/host.ts";
import { withMessages } from "../harness/inside.ts";
import { test } from "../harness/runner.ts";

function file(path: string, kind: ModelFile["summary"]["kind"]): ModelFile {
  const form = kind === "engine bundle" ? "bundle" : "safetensors";
  return { uri: vscode.Uri.file(path), form, bytes: 1, modified: 1, summary: { path, kind } };
}

const ENGINE = engineNode(file("/e/emoji-xl", "engine bundle"), { loaded: undefined, stackSize: 0, problem: undefined });

/** An engines view whose deltas are written down rather than made. */
function recordingView(): { readonly view: EnginesView; readonly made: [string, string][] } {
  const made: [string, string][] = [];
  const makeDelta = (engine: vscode.Uri, lora: vscode.Uri): Promise<void> => {
    made.push([engine.fsPath, lora.fsPath]);
    return Promise.resolve();
  };
  const view = new EnginesView({
    files: {} as ModelFiles,
    worker: {} as WorkerHost,
    stacks: {} as Stacks,
    problems: {} as EngineProblems,
    makeDelta,
  });
  return { view, made };
}

test("LoRAs dragged from the view onto an engine become its deltas", async () => {
  const { view, made } = recordingView();
  const dragged = new vscode.DataTransfer();
  new DeltasView({} as ModelFiles).handleDrag(
    [adapterNode(file("/l/a.safetensors", "lora")), adapterNode(file("/l/b.safetensors", "lora"))],
    dragged,
  );
  await view.handleDrop(ENGINE, dragged);
  assert.deepEqual(made, [
    ["/e/emoji-xl", "/l/a.safetensors"],
    ["/e/emoji-xl", "/l/b.safetensors"],
  ]);
});

test("a LoRA dragged from the explorer onto an engine becomes its delta", async () => {
  const { view, made } = recordingView();
  const dragged = new vscode.DataTransfer();
  dragged.set("text/uri-list", new vscode.DataTransferItem("file:///l/with%20space.safetensors\r\n"));
  await view.handleDrop(ENGINE, dragged);
  assert.deepEqual(made, [["/e/emoji-xl", "/l/with space.safetensors"]]);
});

for (const [what, target, list] of [
  ["a picture", ENGINE, "file:///l/a.png"],
  ["a LoRA beside the engines", undefined, "file:///l/a.safetensors"],
] as const) {
  test(`${what} dropped makes nothing and says why`, async () => {
    const { view, made } = recordingView();
    const dragged = new vscode.DataTransfer();
    dragged.set("text/uri-list", new vscode.DataTransferItem(list));
    const { messages } = await withMessages(() => view.handleDrop(target, dragged));
    assert.deepEqual(made, []);
    assert.equal(messages.length, 1);
  });
}
