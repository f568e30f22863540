import assert from "node:assert/strict";
import { copyFileSync, cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import * as vscode from "vscode";
import { setScale, toggleInStack } from "../../../src/extension/commands/stack.ts";
import type { Services } from "../../../src/extension/commands/services.ts";
import type { StackResult } from "../../../src/extension/contributions.ts";
import { FolderMemory } from "../../../src/extension/memory.ts";
import { Stacks } from "../../../src/extension/stack/stacks.ts";
import type { WorkerHost } from "../../../src/extension/worker/host.ts";
import type { AppliedStack, Jobs, LoadedEngine, StackItem } from "../../../src/worker/protocol.ts";
import { demoEngine, inWorkspace, silentLog, withMessages } from "../harness/inside.ts";
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

const APPLIED = { loras: [], warnings: [], changed: 0, restored: 0, timings: { read: 0, merge: 0, refit: 0, total: 0 } };

/** The stacks of a window whose engine "/e" is loaded, and the refits that they ask for. */
function windowWithEngine(memory: FolderMemory) {
  const loaded = new vscode.EventEmitter<readonly LoadedEngine[]>();
  const refits: (readonly StackItem[])[] = [];
  const setStack = async (_engine: string, stack: readonly StackItem[]): Promise<AppliedStack> => {
    refits.push(stack);
    await new Promise((resolve) => setTimeout(resolve, 5));
    return APPLIED;
  };
  const stacks = new Stacks({ setStack, onDidChangeEngines: loaded.event } as unknown as WorkerHost, memory, silentLog());
  const engine = { path: "/e", backend: "onnxruntime", memoryBytes: 0, stack: [], memory: { base: 0, merged: 0 } };
  loaded.fire([engine]);
  const dispose = (): void => [stacks, loaded].forEach((each) => each.dispose());
  return { stacks, refits, dispose };
}

async function withMemory(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(inWorkspace("memory-"));
  await body(folder).finally(() => rmSync(folder, { recursive: true }));
}

test("a key or a box that changes several rows makes one refit, and each of them is in it", () =>
  withMemory(async (folder) => {
    const { stacks, refits, dispose } = windowWithEngine(new FolderMemory(folder));
    const files = ["/l/a.safetensors", "/l/b.safetensors", "/l/c.safetensors"];
    await stacks.change("/e", () => files.map((file) => ({ file, scale: 1, enabled: true })));
    let selected = files.slice(0, 2);
    const selectedEntries = (): readonly string[] => selected;
    const jobs = { interactively: (flow: () => Promise<unknown>) => flow() };
    const services = { stacks, jobs, selectedEntries } as unknown as Services;
    refits.length = 0;
    await setScale(services)({ step: 0.05 });
    await toggleInStack(services)();
    await setScale(services)({ step: -0.1 });
    selected = [];
    assert.equal(await setScale(services)({ step: -0.1 }), undefined);
    assert.equal(await toggleInStack(services)(), undefined);
    const states = refits.map((stack) => stack.map(({ scale, enabled }) => [scale, enabled]));
    assert.deepEqual(states, [
      [
        [1.05, true],
        [1.05, true],
        [1, true],
      ],
      [
        [1.05, false],
        [1.05, false],
        [1, true],
      ],
      [
        [0.95, false],
        [0.95, false],
        [1, true],
      ],
    ]);
    dispose();
  }));

test("what is no stack is refused, and the one that is there stays", () =>
  withMemory(async (folder) => {
    const { stacks, refits, dispose } = windowWithEngine(new FolderMemory(folder));
    const stack = [{ file: "/l/a.safetensors", scale: 0.5, enabled: true }];
    await stacks.change("/e", () => stack);
    for (const scale of ["0.5", Number.NaN, null])
      await assert.rejects(
        stacks.change("/e", (before) => before.map((entry) => ({ ...entry, scale: scale as number }))),
        /a number as its scale/,
      );
    assert.deepEqual([stacks.of("/e"), refits.length], [stack, 1]);
    dispose();
  }));

test("two windows' stacks of two engines are both there after a reload, and neither window's own changes under it", () =>
  withMemory(async (folder) => {
    const entry = (file: string) => ({ file, scale: 1, enabled: true });
    const [first, second] = [windowWithEngine(new FolderMemory(folder)), windowWithEngine(new FolderMemory(folder))];
    assert.deepEqual([first.stacks.of("/e"), second.stacks.of("/e")], [[], []]);
    await first.stacks.change("/e", () => [entry("/l/a.safetensors")]);
    await second.stacks.change("/other", () => [entry("/l/b.safetensors")]);
    assert.deepEqual(second.stacks.of("/e"), []);
    const again = windowWithEngine(new FolderMemory(folder));
    assert.deepEqual(again.stacks.of("/e"), [entry("/l/a.safetensors")]);
    assert.deepEqual(again.stacks.of("/other"), [entry("/l/b.safetensors")]);
    await again.stacks.forget("/e");
    // What another version kept is no stack.
    await new FolderMemory(folder).update(new FolderMemory(folder).keys()[0]!, [{ file: 3 }]);
    const last = windowWithEngine(new FolderMemory(folder));
    assert.deepEqual([last.stacks.of("/e"), last.stacks.of("/other")], [[], []]);
    for (const each of [first, second, again, last]) each.dispose();
  }));
