import assert from "node:assert/strict";
import * as vscode from "vscode";
import type { EngineProblems } from "../../../src/extension/engineProblems.ts";
import type { ModelFile, ModelFiles } from "../../../src/extension/files.ts";
import type { Stack } from "../../../src/extension/stack/entries.ts";
import type { Stacks } from "../../../src/extension/stack/stacks.ts";
import { adapterNode } from "../../../src/extension/views/adapterNodes.ts";
import { DeltasView } from "../../../src/extension/views/deltas.ts";
import { engineNode } from "../../../src/extension/views/engineNodes.ts";
import { EnginesView } from "../../../src/extension/views/engines.ts";
import { StackView } from "../../../src/extension/views/stack.ts";
import { type StackNode, stackNode } from "../../../src/extension/views/stackNodes.ts";
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

/** A stack view whose stack is kept here, of an engine that is loaded. */
function stackView(paths = ["/l/a.safetensors", "/l/b.safetensors"]): { readonly view: StackView; readonly files: () => string[] } {
  let stack: Stack = paths.map((each) => ({ file: each, scale: 1, enabled: true }));
  const stacks = {
    engine: "/e/emoji-xl",
    change: (_engine: string, edit: (stack: Stack) => Stack) => Promise.resolve(void (stack = edit(stack))),
    of: () => stack,
    state: () => ({ applying: false }),
  };
  return { view: new StackView(stacks as unknown as Stacks, (change) => change()), files: () => stack.map(({ file: each }) => each) };
}

function stackRow(path: string): StackNode {
  return stackNode("/e/emoji-xl", { file: path, scale: 1, enabled: true }, undefined, undefined);
}

test("files of the explorer and rows of the deltas view are put on the stack where they are dropped", async () => {
  const { view, files } = stackView();
  const dragged = new vscode.DataTransfer();
  dragged.set(
    "text/uri-list",
    new vscode.DataTransferItem("file:///l/c.safetensors\r\nvscode-remote://host/l/d.trt_lora\r\nfile:///l/e.png"),
  );
  await view.handleDrop(stackRow("/l/b.safetensors"), dragged);
  assert.deepEqual(files(), ["/l/a.safetensors", "/l/c.safetensors", "/l/d.trt_lora", "/l/b.safetensors"]);
  const rows = new vscode.DataTransfer();
  new DeltasView({} as ModelFiles).handleDrag([adapterNode(file("/l/f.safetensors", "lora"))], rows);
  await view.handleDrop(undefined, rows);
  assert.equal(files().at(-1), "/l/f.safetensors");
});

test("an empty stack has a row to drop on, which is neither dragged nor one of its LoRAs", async () => {
  const { view, files } = stackView([]);
  const [row, ...others] = view.getChildren();
  assert.deepEqual([row?.kind, others, view.selection], ["emptyStack", [], []]);
  const dragged = new vscode.DataTransfer();
  view.handleDrag([row!], dragged);
  assert.equal([...dragged].length, 0);
  dragged.set("text/uri-list", new vscode.DataTransferItem("file:///l/c.safetensors"));
  await view.handleDrop(row, dragged);
  assert.deepEqual(files(), ["/l/c.safetensors"]);
  assert.deepEqual(
    view.getChildren().map(({ kind }) => kind),
    ["stackEntry"],
  );
});

test("rows of the stack are moved to where they are dropped", async () => {
  const { view, files } = stackView();
  const dragged = new vscode.DataTransfer();
  view.handleDrag([stackRow("/l/b.safetensors")], dragged);
  await view.handleDrop(stackRow("/l/a.safetensors"), dragged);
  assert.deepEqual(files(), ["/l/b.safetensors", "/l/a.safetensors"]);
  await view.handleDrop(undefined, dragged);
  assert.deepEqual(files(), ["/l/a.safetensors", "/l/b.safetensors"]);
});

test("with no engine loaded, or with other files, a drop changes no stack and says why", async () => {
  const lora = new vscode.DataTransfer();
  lora.set("text/uri-list", new vscode.DataTransferItem("file:///l/c.safetensors"));
  const picture = new vscode.DataTransfer();
  picture.set("text/uri-list", new vscode.DataTransferItem("file:///l/c.png"));
  const none = new StackView({ engine: undefined } as Stacks, (change) => change());
  const { view, files } = stackView();
  const { messages } = await withMessages(async () => {
    await none.handleDrop(undefined, lora);
    await view.handleDrop(undefined, picture);
  });
  assert.deepEqual(files(), ["/l/a.safetensors", "/l/b.safetensors"]);
  assert.equal(messages.length, 2);
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
