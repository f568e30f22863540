import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import * as vscode from "vscode";
import { demoEngine, inWorkspace } from "../harness/inside.ts";
import { until } from "../harness/processes.ts";
import { test } from "../harness/runner.ts";

/** Opens a new file of the workspace in an editor. "|" stands where the cursor is meant to be. */
async function open(name: string, marked: string): Promise<{ readonly document: vscode.TextDocument; readonly cursor: vscode.Position }> {
  const path = inWorkspace(name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, marked.replace("|", ""));
  const document = await vscode.workspace.openTextDocument(path);
  await vscode.window.showTextDocument(document);
  return { document, cursor: document.positionAt(Math.max(0, marked.indexOf("|"))) };
}

async function completions({ document, cursor }: Awaited<ReturnType<typeof open>>): Promise<string[]> {
  const list = await vscode.commands.executeCommand<vscode.CompletionList>("vscode.executeCompletionItemProvider", document.uri, cursor);
  return list.items.map(({ label }) => (typeof label === "string" ? label : label.label));
}

/** What is underlined, once anything is. */
async function problems(document: vscode.TextDocument): Promise<string[]> {
  const found = await until("a problem", () => {
    const diagnostics = vscode.languages.getDiagnostics(document.uri);
    return diagnostics.length > 0 && diagnostics;
  });
  return found.map(({ message, range }) => `${range.start.line}: ${document.getText(range)}: ${message}`);
}

test("a batch file's lines are checked as a run would, saved or not", async () => {
  const line = '{"engine": "e", "prompt": "p", "steps": 0}';
  const { document } = await open("checked.tensorrt.jsonl", `# comment\n${line}\n`);
  assert.equal(document.languageId, "tensorrt-batch");
  assert.deepEqual(await problems(document), ['1: "steps": 0: "steps" 0: it must be at least 1.']);
  const edit = new vscode.WorkspaceEdit();
  edit.replace(document.uri, document.lineAt(1).range, line.replace("0", "2"));
  await vscode.workspace.applyEdit(edit);
  await until("no problem", () => vscode.languages.getDiagnostics(document.uri).length === 0);
  await document.save();
});

test("options, values and the workspace's engines are completed in a batch file", async () => {
  await demoEngine();
  const options = await completions(await open("options.tensorrt.jsonl", '{"engine": "e", "|"}'));
  assert.ok(options.includes("cfgRescale") && !options.includes("engine"), options.join(", "));
  const samplers = await completions(await open("samplers.tensorrt.jsonl", '{"sampler": |}'));
  assert.ok(samplers.includes('"dpmpp_2m"'), samplers.join(", "));
  const place = await open("engines.tensorrt.jsonl", '{"engine": "|"}');
  await until("the engine", async () => (await completions(place)).includes('"engines/emoji-xl"'));
});

test("a batch file of 1,000 lines is checked and completed without a wait", async () => {
  const line = (index: number, steps: number): string =>
    JSON.stringify({
      engine: "e",
      prompt: `a picture of number ${index}`,
      seed: index,
      steps,
      lora: [{ file: "ink.safetensors", scale: 0.5 }],
    });
  const lines = Array.from({ length: 1_000 }, (_, index) => line(index, index === 999 ? 0 : 20));
  // The worker runs already.
  await vscode.commands.executeCommand("tensorrt.inspect", { file: inWorkspace("loras", "ink.safetensors") });
  const start = performance.now();
  const { document } = await open("long.tensorrt.jsonl", lines.join("\n"));
  assert.equal((await problems(document)).length, 1);
  const opened = performance.now();
  const edit = new vscode.WorkspaceEdit();
  edit.insert(document.uri, new vscode.Position(999, 1), '"sampler": , ');
  await vscode.workspace.applyEdit(edit);
  const cursor = new vscode.Position(999, 1 + '"sampler": '.length);
  assert.ok((await completions({ document, cursor })).includes('"dpmpp_2m"'));
  const completed = performance.now();
  await until("the edited line's problem", () =>
    vscode.languages.getDiagnostics(document.uri).some(({ message }) => message.startsWith("It is not a JSON object")),
  );
  const times = [opened - start, completed - opened, performance.now() - completed].map(Math.round);
  assert.ok(
    times.every((time) => time < 3_000),
    `opened, completed and checked again in ${times.join(", ")} ms`,
  );
  await document.save();
});

test("engine.json is checked and completed; another program's is left alone", async () => {
  const own = await open("mine/engine.json", '{\n  "formatVersion": 1,\n  "precision": "fp12",\n  |\n}');
  const messages = await problems(own.document);
  assert.ok(
    messages.some((message) => message.startsWith('2: "fp12"') && message.includes("nvfp4")),
    messages.join("; "),
  );
  const names = await completions(own);
  assert.ok(names.includes("weightFiles") && !names.includes("precision"), names.join(", "));
  const foreign = await open("theirs/engine.json", '{"engine": "v8", "cylinders": 8}');
  const broken = await open("theirs/broken/engine.json", '{"engine": }');
  // Once VS Code has looked at the second, which is no JSON, it has looked at the first.
  await problems(broken.document);
  assert.deepEqual(vscode.languages.getDiagnostics(foreign.document.uri), []);
});

test("the engine.json of an export has no problem", async () => {
  const { bundle } = await demoEngine();
  const document = await vscode.workspace.openTextDocument(`${bundle}/engine.json`);
  await vscode.window.showTextDocument(document);
  const broken = await open("theirs/broken/engine.json", '{"engine": }');
  await problems(broken.document);
  assert.deepEqual(vscode.languages.getDiagnostics(document.uri), []);
});

test("options of tasks are checked and completed in tasks.json", async () => {
  const task = '{"label": "t", "type": "tensorrt", "command": "generate", "engine": "e", "sampler": "ddpm", |}';
  const place = await open("other/.vscode/tasks.json", `{"version": "2.0.0", "tasks": [${task}]}`);
  const names = await completions(place);
  for (const name of ["cfgRescale", "lora"]) assert.ok(names.includes(name), names.join(", "));
  const messages = await problems(place.document);
  assert.ok(
    messages.some((message) => message.includes('"ddpm"') && message.includes("dpmpp_2m")),
    messages.join("; "),
  );
});
