import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import * as vscode from "vscode";
import type { Jobs } from "../../../src/worker/protocol.ts";
import { demoEngine, inWorkspace, withMessages } from "../harness/inside.ts";
import { until } from "../harness/processes.ts";
import { test } from "../harness/runner.ts";
import { writeVersion1 } from "../harness/version1.ts";

function generate(options: object): Thenable<Jobs["generate"]["result"]> {
  return vscode.commands.executeCommand("tensorrt.generateImage", { seed: 7, steps: 4, cfg: 4, prompt: "red apple", ...options });
}

test("programs export, make a delta and generate, with no message", async () => {
  const { messages } = await withMessages(async () => {
    const { bundle } = await demoEngine();
    assert.ok(existsSync(`${bundle}/engine.json`));
    const delta = await vscode.commands.executeCommand<Jobs["delta"]["result"]>("tensorrt.exportDelta", {
      engine: bundle,
      lora: vscode.Uri.file(inWorkspace("loras", "ink.safetensors")),
    });
    assert.equal(delta.matched.length, 192);
    assert.deepEqual(delta.unmatched, []);
    assert.ok(existsSync(delta.file));

    const plain = await generate({ engine: bundle, output: inWorkspace("plain.png") });
    const inked = await generate({ engine: bundle, lora: [{ file: delta.file, scale: 0.9 }], output: inWorkspace("ink.png") });
    const again = await generate({ engine: bundle, output: inWorkspace("again.png") });
    assert.equal(plain.images.length, 1);
    const [plainBytes, inkedBytes, againBytes] = [plain, inked, again].map(({ images }) => readFileSync(images[0]!));
    assert.deepEqual([...plainBytes!.subarray(1, 4)], [...Buffer.from("PNG")]);
    assert.notDeepEqual(inkedBytes, plainBytes);
    assert.deepEqual(againBytes, plainBytes, "without the LoRA the first picture comes back");
  });
  assert.deepEqual(messages, []);
});

test("programs convert a delta of version 1, with no message", async () => {
  const { bundle } = await demoEngine();
  const lora = inWorkspace("loras", "version-1.trt_lora");
  const layer = "model.diffusion_model.middle_block.1.transformer_blocks.0.attn1.to_q.weight";
  await writeVersion1(lora, inWorkspace("models", "emoji-xl.safetensors"), [layer]);
  const output = inWorkspace("loras", "version-2.trt_lora");
  const { result, messages } = await withMessages(async () =>
    vscode.commands.executeCommand<Jobs["delta"]["result"]>("tensorrt.convertDelta", {
      engine: bundle,
      lora: vscode.Uri.file(lora),
      output,
    }),
  );
  assert.deepEqual([result.matched, result.file, messages], [[layer], output, []]);
  for (const file of [lora, output]) rmSync(file);
});

test("inspect tells a checkpoint's tensors", async () => {
  const file = inWorkspace("models", "emoji-xl.safetensors");
  const result = await vscode.commands.executeCommand<Jobs["inspect"]["result"]>("tensorrt.inspect", { file });
  assert.equal(result.kind, "checkpoint");
  assert.equal(result.tensors.length, 1047);
});

test("programs compare two LoRAs and see what a stack would change, with no tab", async () => {
  const tabs = vscode.window.tabGroups.activeTabGroup.tabs.length;
  const [ink, hue] = ["ink.safetensors", "opposite-hue.safetensors"].map((name) => vscode.Uri.file(inWorkspace("loras", name)));
  const compare = (options: object) => vscode.commands.executeCommand<Jobs["compare"]["result"]>("tensorrt.compareDeltas", options);
  const { totals } = await compare({ a: [ink], b: [{ file: hue, scale: 0.5 }] });
  assert.deepEqual([totals.layersInBoth, totals.layersInA, totals.layersInB], [192, 0, 78]);
  const stack = await compare({ a: [ink, hue], base: vscode.Uri.file(inWorkspace("models", "emoji-xl.safetensors")) });
  assert.ok(stack.layers.some(({ relativeA = 0 }) => relativeA > 0.5));
  assert.equal(vscode.window.tabGroups.activeTabGroup.tabs.length, tabs);
});

test("compare shows a tab where it is told to", async () => {
  await vscode.commands.executeCommand("tensorrt.compareDeltas", { a: [inWorkspace("loras", "ink.safetensors")], show: true });
  await untilTab("the comparison", (input) => input instanceof vscode.TabInputWebview && input.viewType.endsWith("tensorrt.comparison"));
});

/** Waits until the active tab shows what `isShown` looks for. */
function untilTab(what: string, isShown: (input: unknown) => boolean): Promise<boolean> {
  return until(what, () => isShown(vscode.window.tabGroups.activeTabGroup.activeTab?.input));
}

test("inspect on a LoRA opens the inspector", async () => {
  await vscode.commands.executeCommand("tensorrt.inspect", vscode.Uri.file(inWorkspace("loras", "ink.safetensors")));
  await untilTab("the inspector", (input) => input instanceof vscode.TabInputCustom && input.viewType === "tensorrt.deltaEditor");
});

test("inspect on an engine opens a read-only text", async () => {
  const { bundle } = await demoEngine();
  await vscode.commands.executeCommand("tensorrt.inspect", vscode.Uri.file(bundle));
  const document = await until("the text", () => vscode.window.activeTextEditor?.document);
  assert.equal(document.uri.scheme, "tensorrt-report");
  assert.match(document.getText(), /engine bundle \(sdxl\)/);
  assert.equal(vscode.workspace.fs.isWritableFileSystem(document.uri.scheme) ?? false, false);
});

test("doctor opens what it found", async () => {
  const result = await vscode.commands.executeCommand<Jobs["doctor"]["result"]>("tensorrt.doctor");
  assert.ok(result.findings.some(({ name, state }) => /ONNX Runtime/.test(name) && state === "found"));
  await untilTab("its page", (input) => input instanceof vscode.TabInputWebview && input.viewType.endsWith("tensorrt.doctor"));
});

test("a job that fails for a program rejects with its sentence and shows nothing", async () => {
  const checkpoint = inWorkspace("models", "broken.safetensors");
  const { messages } = await withMessages(() =>
    assert.rejects(Promise.resolve(vscode.commands.executeCommand("tensorrt.exportEngine", { checkpoint })), (error: Error) =>
      error.message.includes("broken.safetensors"),
    ),
  );
  assert.deepEqual(messages, []);
  assert.deepEqual(
    readdirSync(dirname(checkpoint)).filter((name) => name.endsWith(".tmp")),
    [],
  );
});

test("the runtime cannot be installed without a Python, which is said", async () => {
  const python = inWorkspace("python3");
  await assert.rejects(
    Promise.resolve(vscode.commands.executeCommand("tensorrt.installRuntime", { python })),
    // A build without TensorRT's headers has no use for the runtime, and says that first.
    /^WorkerError: (There is no Python with pip here: .*python3 cannot be run|TensorRT-RTX would be of no use here)/,
  );
});

test("an engine that was built for something else is told with what to do", async () => {
  const { bundle } = await demoEngine();
  const options = { engine: bundle, prompt: "ball", backend: "tensorrt" };
  const refused = /was built for onnxruntime, not tensorrt\. Export the checkpoint again with --backend tensorrt/;
  await assert.rejects(Promise.resolve(vscode.commands.executeCommand("tensorrt.generateImage", options)), refused);
});

test("an engine outside of the workspace is built again as it was, and one that was loaded is loaded again whatever came of it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tensorrt-engine-"));
  const engine = join(folder, "small");
  const checkpoint = inWorkspace("models", "emoji-xl.safetensors");
  const components = ["unet", "text_encoder", "text_encoder_2", "vae_decoder"];
  await vscode.commands.executeCommand("tensorrt.exportEngine", { checkpoint, output: engine, components, batch: [1, 2, 2] });
  const describe = () => JSON.parse(readFileSync(join(engine, "engine.json"), "utf8")) as { components: { profile: object }[] };
  const before = describe();
  await vscode.commands.executeCommand("tensorrt.loadEngine", { engine });
  const rebuild = () =>
    vscode.commands.executeCommand<Jobs["export"]["result"] | undefined>("tensorrt.rebuildEngine", vscode.Uri.file(engine));
  const { result, messages } = await withMessages(async () => rebuild());
  assert.deepEqual([result?.bundle, messages], [engine, []]);
  assert.deepEqual(describe().components, before.components);
  // The checkpoint is another file now: the build fails.
  const moved = `${checkpoint}.moved`;
  renameSync(checkpoint, moved);
  writeFileSync(checkpoint, "no checkpoint");
  try {
    const failed = await withMessages(async () => rebuild());
    assert.equal(failed.result, undefined);
    assert.equal(failed.messages.length, 1);
    assert.match(failed.messages[0]!, /emoji-xl\.safetensors/);
  } finally {
    renameSync(moved, checkpoint);
  }
  // In memory still: there is a stack to set.
  const stack = await vscode.commands.executeCommand<{ applied?: object }>("tensorrt.clearStack", { engine });
  assert.ok(stack.applied);
  await vscode.commands.executeCommand("tensorrt.unloadEngine", { engine });
  rmSync(folder, { recursive: true });
});

test("engines are loaded and unloaded", async () => {
  const { bundle } = await demoEngine();
  const loaded = await vscode.commands.executeCommand<{ readonly path: string; readonly memoryBytes: number }>("tensorrt.loadEngine", {
    engine: bundle,
  });
  assert.equal(loaded.path, bundle);
  assert.ok(loaded.memoryBytes > 1e6);
  await vscode.commands.executeCommand("tensorrt.unloadEngine", { engine: bundle });
});

test("programs open the generation panel, once", async () => {
  const { bundle } = await demoEngine();
  const open = (): Thenable<unknown> => vscode.commands.executeCommand("tensorrt.openGenerationPanel", { engine: bundle });
  const tabs = (): readonly vscode.Tab[] =>
    vscode.window.tabGroups.all
      .flatMap((group) => group.tabs)
      .filter(({ input }) => input instanceof vscode.TabInputWebview && input.viewType.endsWith("tensorrt.generation"));
  await open();
  await until("the panel", () => tabs().length > 0);
  await open();
  assert.deepEqual(
    tabs().map(({ label }) => label),
    ["Generate"],
  );
  await vscode.window.tabGroups.close(tabs());
  await until("its end", () => tabs().length === 0);
});
