import assert from "node:assert/strict";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import * as vscode from "vscode";
import { CommandLineTerminal } from "../../../src/extension/tasks/terminal.ts";
import { demoEngine, extension, inWorkspace } from "../harness/inside.ts";
import { listProcesses, until } from "../harness/processes.ts";
import { test } from "../harness/runner.ts";

/** Extensions are told of a task's problems some time after its end. */
const PROBLEMS_MILLISECONDS = 2_000;

async function find(name: string): Promise<vscode.Task> {
  const tasks = await vscode.tasks.fetchTasks();
  const task = tasks.find((candidate) => candidate.name === name);
  assert.ok(task, `no task "${name}" among ${tasks.map((candidate) => candidate.name).join(", ")}`);
  return task;
}

/** The exit code of a task's next run, once that has ended. */
function endOf(task: vscode.Task): Promise<number | undefined> {
  return new Promise((resolve) => {
    const subscription = vscode.tasks.onDidEndTaskProcess(({ execution, exitCode }) => {
      if (execution.task.name !== task.name) return;
      subscription.dispose();
      resolve(exitCode);
    });
  });
}

/** Runs a task to its end; returns its exit code. */
async function run(task: vscode.Task): Promise<number | undefined> {
  const ended = endOf(task);
  await vscode.tasks.executeTask(task);
  return ended;
}

const isExported = (): boolean => existsSync(inWorkspace("engines-by-task", "engine.json"));

test("a task of tasks.json exports an engine", async () => {
  assert.equal(await run(await find("export emoji-xl")), 0);
  assert.ok(isExported());
});

test("the problem matcher finds the file that a task failed on", async () => {
  assert.equal(await run(await find("export a broken file")), 1);
  const uri = vscode.Uri.file(inWorkspace("models", "broken.safetensors"));
  const problems = await until("a problem", () => {
    const found = vscode.languages.getDiagnostics(uri);
    return found.length > 0 && found;
  });
  assert.equal(problems.length, 1);
  assert.equal(problems[0]!.severity, vscode.DiagnosticSeverity.Error);
  assert.equal(problems[0]!.code, "file.truncated");
  assert.equal(problems[0]!.source, "TensorRT");
});

test("what the workspace is ready for is offered as tasks", async () => {
  // Of a name of its own: deltas of the others may be there already.
  const lora = inWorkspace("loras", "ready.safetensors");
  copyFileSync(inWorkspace("loras", "ink.safetensors"), lora);
  const expected = [
    'generate engines-by-task {"engine":"engines-by-task"}',
    'bench engines-by-task {"engine":"engines-by-task"}',
    'delta engines-by-task {"engine":"engines-by-task","lora":"loras/ready.safetensors"}',
  ];
  const offered = async (): Promise<string[]> =>
    (await vscode.tasks.fetchTasks({ type: "tensorrt" }))
      .filter(({ source }) => source === "TensorRT")
      .map(
        ({ definition: { type: _type, command, ...options } }) =>
          `${String(command)} ${String(options["engine"])} ${JSON.stringify(options)}`,
      );
  await until("the engine's tasks", async () => {
    const found = await offered();
    return expected.every((text) => found.includes(text));
  });
  assert.deepEqual(
    (await offered()).filter((text) => text.startsWith("export ")),
    [],
    "the checkpoint has its engine",
  );
  rmSync(lora);
});

test("ending a task ends its process and leaves nothing behind", async () => {
  const isRun = ({ parent, command }: { parent: number; command: string }): boolean =>
    parent === process.pid && command.includes("cli.js generate") && command.includes("--steps=5000");
  const execution = await vscode.tasks.executeTask(await find("generate for minutes"));
  await until("the process", () => listProcesses().some(isRun));
  execution.terminate();
  await until("its end", () => !listProcesses().some(isRun));
  assert.deepEqual(
    readdirSync(inWorkspace()).filter((name) => name.includes("never")),
    [],
  );
});

for (const command of ["generate", "grid", "bench"]) {
  test(`a task whose process is killed during ${command} has failed, leaves nothing behind, and the next one works`, async () => {
    const isRun = ({ parent, command: line }: { parent: number; command: string }): boolean =>
      parent === process.pid && line.includes(`cli.js ${command}`);
    if (!isExported()) assert.equal(await run(await find("export emoji-xl")), 0);
    const ended = run(await find(`${command} for minutes`));
    const { id } = await until("the process", () => listProcesses().find(isRun));
    // Long enough for the engine to be loaded.
    await setTimeout(3_000);
    process.kill(id, "SIGKILL");
    assert.equal(await ended, 128 + constants.signals.SIGKILL);
    const left = readdirSync(inWorkspace()).filter((name) => name.includes("never") || name.endsWith(".tmp"));
    assert.deepEqual(left, []);
    assert.equal(await run(await find("export a broken file")), 1, "the next task runs to its own end");
  });
}

test("the terminal of a run that is killed says so", async () => {
  const script = join(extension().extensionPath, "dist", "cli.js");
  const terminal = new CommandLineTerminal(script, ["doctor"], process.env, inWorkspace());
  let text = "";
  terminal.onDidWrite((written) => (text += written));
  const ended = new Promise<number>((resolve) => terminal.onDidClose(resolve));
  terminal.open();
  const isRun = ({ parent, command }: { parent: number; command: string }): boolean => parent === process.pid && command.includes("doctor");
  process.kill(listProcesses().find(isRun)!.id, "SIGKILL");
  assert.equal(await ended, 128 + constants.signals.SIGKILL);
  assert.match(text, /^> tensorrt-redux doctor\r\n.*ended from outside \(SIGKILL\).*run the task again\.\r\n$/s);
});

test("a batch file runs as a task; Ctrl-C in its terminal is no problem, and the next run goes on where it was", async () => {
  const { bundle } = await demoEngine();
  const place = inWorkspace("batch");
  mkdirSync(place);
  const line = (name: string, steps: number): string =>
    JSON.stringify({ engine: bundle, prompt: "red apple", seed: 1, steps, width: 64, height: 64, output: join(place, name) });
  const file = join(place, "apples.tensorrt.jsonl");
  writeFileSync(file, [line("a.png", 2), line("b.png", 2_000)].join("\n"));
  const task = await until("the task", async () =>
    (await vscode.tasks.fetchTasks()).find(({ name }) => name === "run apples.tensorrt.jsonl"),
  );
  const cancelled = endOf(task);
  await vscode.tasks.executeTask(task);
  await until("the first picture", () => existsSync(join(place, "a.png")), 60_000);
  const terminal = await until("its terminal", () => vscode.window.terminals.find(({ name }) => name.includes(task.name)));
  terminal.sendText("\u0003", false);
  assert.equal(await cancelled, 130);
  await until("its end", () => vscode.tasks.taskExecutions.length === 0);
  await setTimeout(PROBLEMS_MILLISECONDS);
  assert.deepEqual(vscode.languages.getDiagnostics(vscode.Uri.file(file)), []);
  const drawn = statSync(join(place, "a.png")).mtimeMs;
  assert.ok(!existsSync(join(place, "b.png")));

  const text = readFileSync(file, "utf8").replace("2000", "3");
  writeFileSync(file, text);
  const ended = endOf(task);
  await vscode.commands.executeCommand("tensorrt.runBatch", vscode.Uri.file(file));
  assert.equal(await ended, 0);
  assert.ok(existsSync(join(place, "b.png")));
  assert.equal(statSync(join(place, "a.png")).mtimeMs, drawn, "what was done is skipped");
});

test("a run that cannot begin says why and ends once", async () => {
  const script = join(extension().extensionPath, "dist", "cli.js");
  const terminal = new CommandLineTerminal(script, ["doctor"], process.env, inWorkspace("no", "such", "folder"));
  let text = "";
  const ends: (number | void)[] = [];
  terminal.onDidWrite((part) => (text += part));
  terminal.onDidClose((code) => ends.push(code));
  terminal.open();
  await until("the end", () => ends.length > 0);
  await setTimeout(1_000);
  assert.deepEqual(ends, [127]);
  assert.match(text, /ENOENT/);
});
