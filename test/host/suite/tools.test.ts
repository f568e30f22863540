import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import * as vscode from "vscode";
import type { Jobs } from "../../../src/worker/protocol.ts";
import { inWorkspace, withMessages } from "../harness/inside.ts";
import { test } from "../harness/runner.ts";

test("programs bake, extract, resize and merge, with no message", async () => {
  const { messages } = await withMessages(async () => {
    const original = vscode.Uri.file(inWorkspace("models", "emoji-xl.safetensors"));
    const ink = inWorkspace("loras", "ink.safetensors");
    const tuned = inWorkspace("baked.safetensors");
    const baked = await vscode.commands.executeCommand<Jobs["bake"]["result"]>("tensorrt.bake", {
      checkpoint: original,
      lora: [vscode.Uri.file(ink), { file: ink, scale: -0.5 }],
      output: tuned,
    });
    assert.deepEqual([baked.changed, baked.file], [192, tuned]);

    const extracted = inWorkspace("extracted.safetensors");
    const { layers } = await vscode.commands.executeCommand<Jobs["extract"]["result"]>("tensorrt.extractLora", {
      original,
      tuned,
      rank: 8,
      components: ["unet"],
      output: extracted,
    });
    assert.ok(layers.length > 150 && layers.every(({ rank }) => rank === 8));

    const output = vscode.Uri.file(inWorkspace("resized.safetensors"));
    const resized = await vscode.commands.executeCommand<Jobs["resize"]["result"]>("tensorrt.resizeLora", {
      lora: extracted,
      rank: 4,
      output,
    });
    assert.ok(resized.error > 0 && resized.error < 1);

    const merged = await vscode.commands.executeCommand<Jobs["mergeLoras"]["result"]>("tensorrt.mergeLoras", {
      lora: [{ file: output, scale: 0.5 }, ink],
      output: inWorkspace("merged.safetensors"),
    });
    assert.equal(merged.error, 0);
    assert.ok(existsSync(merged.file));
  });
  assert.deepEqual(messages, []);
});

test("a tool's refusal reaches the program", async () => {
  const lora = inWorkspace("loras", "ink.safetensors");
  await assert.rejects(
    Promise.resolve(vscode.commands.executeCommand("tensorrt.resizeLora", { lora, rank: 4, output: lora, overwrite: true })),
    /is one of the files that are read/,
  );
});
