import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import * as vscode from "vscode";
import type { Jobs } from "../../../src/worker/protocol.ts";
import { inWorkspace } from "../harness/inside.ts";
import { findWorkers, nativeLibraries } from "../harness/processes.ts";
import { test } from "../harness/runner.ts";

test("restricted: the workspace is not trusted", () => {
  assert.equal(vscode.workspace.isTrusted, false);
});

test("restricted: looking works and loads no native code", async () => {
  const file = inWorkspace("models", "emoji-xl.safetensors");
  const result = await vscode.commands.executeCommand<Jobs["inspect"]["result"]>("tensorrt.inspect", { file });
  assert.equal(result.tensors.length, 1047);
  const loras = ["ink.safetensors", "opposite-hue.safetensors"].map((name) => inWorkspace("loras", name));
  const { statistics } = await vscode.commands.executeCommand<Jobs["inspect"]["result"]>("tensorrt.inspect", { file: loras[0] });
  assert.ok(statistics?.every(({ norm = 0, maximum = 0 }) => norm > 0 && maximum > 0));
  const { totals } = await vscode.commands.executeCommand<Jobs["compare"]["result"]>("tensorrt.compareDeltas", {
    a: [loras[0]],
    b: [loras[1]],
  });
  assert.equal(totals.layersInBoth, 192);
  const workers = findWorkers(process.pid);
  assert.equal(workers.length, 1);
  assert.deepEqual(nativeLibraries(workers[0]!.id), []);
});

const REFUSED: readonly [command: string, options: () => object][] = [
  ["tensorrt.exportEngine", () => ({ checkpoint: inWorkspace("models", "emoji-xl.safetensors"), output: inWorkspace("engine") })],
  ["tensorrt.exportDelta", () => ({ engine: inWorkspace("engine"), lora: inWorkspace("loras", "ink.safetensors") })],
  ["tensorrt.generateImage", () => ({ engine: inWorkspace("engine"), prompt: "ball" })],
  ["tensorrt.bake", () => ({ checkpoint: inWorkspace("models", "emoji-xl.safetensors"), lora: ["x"], output: inWorkspace("engine") })],
  ["tensorrt.extractLora", () => ({ original: "a", tuned: "b", output: inWorkspace("engine") })],
  ["tensorrt.resizeLora", () => ({ lora: inWorkspace("loras", "ink.safetensors"), rank: 1, output: inWorkspace("engine") })],
  ["tensorrt.mergeLoras", () => ({ lora: [inWorkspace("loras", "ink.safetensors")], output: inWorkspace("engine") })],
  ["tensorrt.installRuntime", () => ({ python: "/nowhere/python3" })],
  ["tensorrt.loadEngine", () => ({ engine: inWorkspace("engine") })],
];

for (const [command, options] of REFUSED) {
  test(`restricted: ${command} is refused with the way out`, async () => {
    await assert.rejects(
      Promise.resolve(vscode.commands.executeCommand(command, options())),
      /off in Restricted Mode\. Trust this workspace/,
    );
    assert.ok(!existsSync(inWorkspace("engine")));
  });
}
