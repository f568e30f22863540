import assert from "node:assert/strict";
import { copyFileSync, cpSync, readFileSync, rmSync } from "node:fs";
import * as vscode from "vscode";
import type { StackResult } from "../../../src/extension/contributions.ts";
import type { Jobs, LoadedEngine } from "../../../src/worker/protocol.ts";
import { demoEngine, inWorkspace, withMessages } from "../harness/inside.ts";
import { until } from "../harness/processes.ts";
import { test } from "../harness/runner.ts";

const ink = (): string => inWorkspace("loras", "ink.safetensors");
const hue = (): string => inWorkspace("loras", "opposite-hue.safetensors");

function run(command: string, options: object): Promise<StackResult> {
  return Promise.resolve(vscode.commands.executeCommand<StackResult>(`tensorrt.${command}`, options));
}

function load(engine: string): Promise<LoadedEngine> {
  return Promise.resolve(vscode.commands.executeCommand<LoadedEngine>("tensorrt.loadEngine", { engine }));
}

async function picture(engine: string, lora: unknown, name: string): Promise<Buffer> {
  const options = { engine, lora, prompt: "red apple", seed: 7, steps: 2, width: 64, height: 64, output: inWorkspace(name) };
  const { images } = await vscode.commands.executeCommand<Jobs["generate"]["result"]>("tensorrt.generateImage", options);
  return readFileSync(images[0]!);
}

test("programs put LoRAs on the stack, change their scale, take them off and clear it, with no message", async () => {
  const { bundle: engine } = await demoEngine();
  await load(engine);
  const { messages } = await withMessages(async () => {
    const added = await run("addToStack", { file: vscode.Uri.file(ink()), scale: 0.5, engine });
    assert.deepEqual(added.stack, [{ file: ink(), scale: 0.5, enabled: true }]);
    assert.equal(added.applied?.changed, 192);
    assert.ok(added.applied.timings.total > 0);
    await run("addToStack", { file: hue(), enabled: false });
    const scaled = await run("setScale", { file: hue(), scale: -0.3, enabled: true });
    assert.deepEqual(scaled.stack[1], { file: hue(), scale: -0.3, enabled: true });
    assert.deepEqual(
      scaled.applied?.loras.map(({ matched }) => matched),
      [192, 270],
    );
    const removed = await run("removeFromStack", { file: ink() });
    assert.deepEqual(
      removed.stack.map(({ file }) => file),
      [hue()],
    );
    const cleared = await run("clearStack", { engine });
    assert.deepEqual(cleared.stack, []);
    assert.ok(cleared.applied);
    assert.ok(cleared.applied.changed > 0);
    assert.equal(cleared.applied.restored, cleared.applied.changed);
  });
  assert.deepEqual(messages, []);
});

test("the stack makes the picture that its LoRAs make, what is switched off left out", async () => {
  const { bundle: engine } = await demoEngine();
  await load(engine);
  await run("addToStack", { file: ink(), scale: 0.8, engine });
  await run("addToStack", { file: hue(), enabled: false, engine });
  const alone = await picture(engine, [{ file: ink(), scale: 0.8 }], "alone.png");
  assert.deepEqual(await picture(engine, "stack", "stack.png"), alone);
  assert.notDeepEqual(await picture(engine, [], "none.png"), alone);
  assert.deepEqual(await picture(engine, "stack", "stack-again.png"), alone, "a picture's own LoRAs leave the stack as it was");
  await run("clearStack", { engine });
});

test("a new worker has the stack again once its engine is loaded", async () => {
  const { bundle: engine } = await demoEngine();
  await load(engine);
  await run("addToStack", { file: ink(), engine });
  await vscode.commands.executeCommand("tensorrt.restartWorker");
  const base = (await load(engine)).memoryBytes;
  const again = await until("the stack to be applied", async () => {
    const { memoryBytes, stack } = await load(engine);
    return stack.length > 0 ? { memoryBytes, stack } : undefined;
  });
  assert.deepEqual(again.stack, [{ file: ink(), scale: 1, enabled: true }]);
  assert.ok(again.memoryBytes > base, "its weights are merged ones");
  await run("clearStack", { engine });
});

test("a stack of an engine that is not loaded is kept and applied later", async () => {
  const { bundle: engine } = await demoEngine();
  await vscode.commands.executeCommand("tensorrt.unloadEngine", { engine });
  const added = await run("addToStack", { file: ink(), engine });
  assert.equal(added.applied, undefined);
  await load(engine);
  await until("the stack to be applied", async () => (await load(engine)).stack.length === 1);
  await run("clearStack", { engine });
});

test("what cannot be applied is refused with its sentence and leaves the stack as it was", async () => {
  const { bundle: engine } = await demoEngine();
  await load(engine);
  await run("addToStack", { file: ink(), engine });
  const broken = inWorkspace("loras", "cut.safetensors");
  copyFileSync(inWorkspace("models", "broken.safetensors"), broken);
  for (const file of [broken, inWorkspace("gone.safetensors"), inWorkspace("models", "emoji-xl.safetensors")]) {
    await assert.rejects(run("addToStack", { file, engine }), (error: Error) => error.message.includes(file));
  }
  assert.deepEqual((await load(engine)).stack, [{ file: ink(), scale: 1, enabled: true }]);
  await run("clearStack", { engine });
  rmSync(broken);
});

test("what a stack would change is told before it is applied: scales and boxes count, and so does what is applied already", async () => {
  const { bundle: engine } = await demoEngine();
  await vscode.commands.executeCommand("tensorrt.unloadEngine", { engine });
  const compare = (command: string, options: object): Thenable<Jobs["compare"]["result"]> =>
    vscode.commands.executeCommand(`tensorrt.${command}`, options);
  await assert.rejects(async () => compare("previewStack", { engine }), /No LoRA is switched on in the stack of emoji-xl/);
  await run("addToStack", { file: ink(), scale: 0.5, engine });
  await run("addToStack", { file: hue(), enabled: false, engine });
  const alone = await compare("compareDeltas", { a: [ink()], base: engine });
  const half = await compare("previewStack", { engine });
  assert.equal(half.totals.layersInA, 192);
  assert.ok(Math.abs(half.totals.normA / alone.totals.normA - 0.5) < 1e-6);
  assert.deepEqual([half.b, half.base], [[], engine], "nothing is in memory: measured against the base");

  await load(engine);
  await until("the stack to be applied", async () => (await load(engine)).stack.length === 2);
  const added = await compare("previewInStack", { file: hue(), scale: 0.8, engine });
  assert.deepEqual([added.a.length, added.b.length], [2, 1]);
  const expected = await compare("compareDeltas", { a: [{ file: hue(), scale: 0.8 }], base: engine });
  assert.deepEqual([added.totals.layersInBoth, added.totals.layersInA], [192, expected.totals.layersInA - 192]);
  assert.ok(Math.abs(added.totals.difference / expected.totals.normA - 1) < 1e-5, "the difference is what is added");
  assert.equal((await load(engine)).stack[1]?.enabled, false, "nothing was applied");
  assert.deepEqual((await compare("previewStack", { engine })).b, [], "what is in memory already is measured against the base");
  await run("clearStack", { engine });
});

test("steps that come faster than they are applied end at the last one", async () => {
  const { bundle: engine } = await demoEngine();
  await load(engine);
  await run("addToStack", { file: ink(), engine });
  const steps = Array.from({ length: 20 }, (_, index) => run("setScale", { file: ink(), scale: index / 10, engine }));
  const results = await Promise.all(steps);
  assert.equal(results.at(-1)?.applied?.loras[0]?.scale, 1.9);
  assert.equal((await load(engine)).stack[0]?.scale, 1.9);
  await run("clearStack", { engine });
});

test("of several loaded engines the chosen one's stack is meant, until it is unloaded", async () => {
  const { bundle: engine } = await demoEngine();
  const other = inWorkspace("engines", "copy");
  cpSync(engine, other, { recursive: true });
  await load(engine);
  await load(other);
  assert.equal((await run("addToStack", { file: ink() })).engine, other, "the one loaded last");
  await vscode.commands.executeCommand("tensorrt.chooseEngine", { engine });
  assert.equal((await run("addToStack", { file: hue() })).engine, engine);
  await vscode.commands.executeCommand("tensorrt.unloadEngine", { engine });
  const { engine: left, stack } = await run("removeFromStack", { file: ink() });
  assert.deepEqual([left, stack], [other, []]);
  await vscode.commands.executeCommand("tensorrt.unloadEngine", { engine: other });
  await run("clearStack", { engine });
  rmSync(other, { recursive: true });
});
