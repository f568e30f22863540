import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as vscode from "vscode";
import { askOutput } from "../../../src/extension/commands/output.ts";
import { sourceFile } from "../../../src/extension/generation/sources.ts";
import { outputFile } from "../../../src/extension/outputFile.ts";
import { inWorkspace, withMessages } from "../harness/inside.ts";
import { test } from "../harness/runner.ts";

/** Runs `body` with something of VS Code's replaced. */
async function withReplaced<T extends object, R>(target: T, name: keyof T, value: unknown, body: () => Promise<R>): Promise<R> {
  const before = Object.getOwnPropertyDescriptor(target, name)!;
  Object.defineProperty(target, name, { configurable: true, enumerable: true, writable: true, value });
  try {
    return await body();
  } finally {
    Object.defineProperty(target, name, before);
  }
}

test("a file that the save dialog did not ask about is not replaced", async () => {
  const ask = (path: string): Promise<Awaited<ReturnType<typeof askOutput>>> =>
    withReplaced(
      vscode.window,
      "showSaveDialog",
      () => Promise.resolve(vscode.Uri.file(path)),
      () => askOutput("Bake", "/m/base.safetensors", "base-baked.safetensors"),
    );
  assert.deepEqual(await ask("/m/new.safetensors"), { output: "/m/new.safetensors", overwrite: true });
  // The dialog knew of "new" alone.
  assert.deepEqual(await ask("/m/new"), { output: "/m/new.safetensors", overwrite: false });
});

test("without a folder that pictures could go to, none is begun, and it is said what to do", async () => {
  const sentence = /Pictures need a folder: open one, or set tensorrt\.outputFolder to an absolute path\./;
  await withReplaced(vscode.workspace, "workspaceFolders", undefined, async () => {
    await assert.rejects(outputFile(new Date()), sentence);
    const generate = vscode.commands.executeCommand("tensorrt.generateImage", { engine: "/e", prompt: "ball" });
    await assert.rejects(Promise.resolve(generate), sentence);
  });
});

test("what is dropped and is no picture is not read to find that out", async () => {
  const folder = mkdtempSync(join(tmpdir(), "dropped-"));
  const large = join(folder, "checkpoint.safetensors");
  writeFileSync(large, "");
  // More than a buffer holds.
  truncateSync(large, 5 * 2 ** 30);
  const kept = vscode.Uri.file(join(folder, "kept"));
  await assert.rejects(sourceFile({ uri: large }, kept), /^Error: checkpoint\.safetensors is not a PNG file\.$/);
  const picture = join(folder, "huge.PNG");
  writeFileSync(picture, "");
  truncateSync(picture, 5 * 2 ** 30);
  await assert.rejects(sourceFile({ uri: picture }, kept), /^Error: huge\.PNG is too large for a picture\.$/);
  await assert.rejects(sourceFile({ name: "a.txt", bytes: new Uint8Array(3) }, kept), /a\.txt is not a PNG file/);
  rmSync(folder, { recursive: true });
});

test("a batch file whose changes cannot be saved is not run as it was before", async () => {
  const folder = inWorkspace("unsaved");
  mkdirSync(folder);
  const uri = vscode.Uri.file(join(folder, "jobs.tensorrt.jsonl"));
  writeFileSync(uri.fsPath, "\n");
  const document = await vscode.workspace.openTextDocument(uri);
  const edit = new vscode.WorkspaceEdit();
  edit.insert(uri, new vscode.Position(0, 0), "# changed");
  await vscode.workspace.applyEdit(edit);
  assert.ok(document.isDirty);
  // Its folder is a file now.
  rmSync(folder, { recursive: true });
  writeFileSync(folder, "");
  const runs: string[] = [];
  const listener = vscode.tasks.onDidStartTask(({ execution }) => runs.push(execution.task.name));
  const { messages } = await withMessages(async () => vscode.commands.executeCommand("tensorrt.runBatch", uri));
  listener.dispose();
  assert.deepEqual(runs, []);
  assert.ok(
    messages.some((message) => message === "jobs.tensorrt.jsonl could not be saved, so it was not run."),
    messages.join("\n"),
  );
  rmSync(folder);
  await vscode.window.showTextDocument(document);
  await vscode.commands.executeCommand("workbench.action.revertAndCloseActiveEditor");
});
