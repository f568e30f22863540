import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import * as vscode from "vscode";
import { demoEngine, inWorkspace, withMessages } from "../harness/inside.ts";
import { findWorkers, until } from "../harness/processes.ts";
import { test } from "../harness/runner.ts";

interface Killed {
  readonly command: string;
  /** The folder that the job would write into, which is empty before. */
  readonly options: (engine: string, folder: string) => object;
}

const ink = (): string => inWorkspace("loras", "ink.safetensors");
const opposite = (): string => inWorkspace("loras", "opposite-hue.safetensors");

/** Each kind of job, in a form that takes longer than it takes to be killed. */
const JOBS: readonly Killed[] = [
  {
    command: "exportEngine",
    options: (_engine, folder) => ({ checkpoint: inWorkspace("models", "emoji-xl.safetensors"), output: `${folder}/e`, precision: "fp32" }),
  },
  { command: "exportDelta", options: (engine, folder) => ({ engine, lora: ink(), output: `${folder}/d.trt_lora`, dense: true }) },
  {
    command: "generateImage",
    options: (engine, folder) => ({
      engine,
      prompt: "ball",
      steps: 5_000,
      output: `${folder}/p.png`,
      saveLatents: `${folder}/p.safetensors`,
    }),
  },
  { command: "loadEngine", options: (engine) => ({ engine }) },
  { command: "addToStack", options: (engine) => ({ engine, file: ink() }) },
  { command: "inspect", options: () => ({ file: inWorkspace("models", "emoji-xl.safetensors") }) },
  { command: "bake", options: (engine, folder) => ({ checkpoint: engine, lora: [ink()], output: `${folder}/b.safetensors` }) },
  {
    command: "extractLora",
    options: (_engine, folder) => {
      const model = inWorkspace("models", "emoji-xl.safetensors");
      return { original: model, tuned: model, rank: 8, output: `${folder}/x.safetensors` };
    },
  },
  { command: "resizeLora", options: (_engine, folder) => ({ lora: ink(), rank: 4, output: `${folder}/r.safetensors` }) },
  { command: "mergeLoras", options: (_engine, folder) => ({ lora: [ink(), opposite()], output: `${folder}/m.safetensors` }) },
  { command: "compareDeltas", options: () => ({ a: [ink()], b: [opposite()] }) },
  { command: "installRuntime", options: () => ({ python: inWorkspace("python3") }) },
  { command: "doctor", options: () => ({}) },
];

for (const [index, { command, options }] of JOBS.entries()) {
  test(`a worker killed during ${command}: one message with Restart, nothing half-written, and it works afterwards`, async () => {
    const { bundle: engine } = await demoEngine();
    const folder = inWorkspace(`killed-${index}`);
    mkdirSync(folder, { recursive: true });
    await vscode.commands.executeCommand("tensorrt.restartWorker");
    if (command === "addToStack") await vscode.commands.executeCommand("tensorrt.loadEngine", { engine });
    const { messages } = await withMessages(async () => {
      const worker = await until("a worker", () => findWorkers(process.pid)[0]);
      // Held, so that the job is under way, whatever it is, when the process ends.
      process.kill(worker.id, "SIGSTOP");
      const job = Promise.resolve(vscode.commands.executeCommand(`tensorrt.${command}`, options(engine, folder)));
      // The doctor is for a person alone: what goes wrong is shown, not thrown.
      const refused =
        command === "doctor"
          ? job.then((result) => assert.equal(result, undefined))
          : assert.rejects(job, /ended unexpectedly \(SIGKILL\)/);
      await new Promise((resolve) => setTimeout(resolve, 100));
      process.kill(worker.id, "SIGCONT");
      await new Promise((resolve) => setTimeout(resolve, command === "generateImage" ? 1_500 : 0));
      process.kill(worker.id, "SIGKILL");
      await refused;
      await until("another worker", () => findWorkers(process.pid).find(({ id }) => id !== worker.id));
    }, "Restart");
    assert.equal(messages.length, 1, messages.join("\n"));
    assert.match(messages[0]!, /The engine worker ended unexpectedly \(SIGKILL\)/);
    const written = readdirSync(folder).filter((name) => !name.startsWith("."));
    assert.deepEqual(written, [], "no file under its final name");
    await vscode.commands.executeCommand("tensorrt.clearStack", { engine });
    await vscode.commands.executeCommand("tensorrt.inspect", { file: ink() });
    assert.ok(existsSync(`${engine}/engine.json`));
  });
}
