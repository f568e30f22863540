import assert from "node:assert/strict";
import type { Workbench } from "./workbench.ts";

/** Waits until the stack view is that of a loaded engine with nothing on it. */
export async function untilEmptyStack(workbench: Workbench): Promise<void> {
  await workbench.view("Stack").getByText("No LoRA is on this engine's stack").waitFor({ timeout: 60_000 });
  await untilRows(workbench, [/Add to Stack…/]);
}

/** Loads the demo's engine, whose stack is empty. */
export async function loadEngine(workbench: Workbench): Promise<void> {
  await workbench.command("TensorRT: Load Engine");
  await workbench.pick("Load Engine", "emoji-xl");
  await untilEmptyStack(workbench);
}

/** Loads the demo's engine and puts the LoRA "ink" on its stack. */
export async function loadWithInk(workbench: Workbench): Promise<void> {
  await loadEngine(workbench);
  await workbench.command("TensorRT: Add to Stack…");
  await workbench.check("Add to Stack", "ink.safetensors");
  await workbench.page.keyboard.press("Enter");
  await untilRows(workbench, [/ink× 1\.00 · 192 weights/]);
}

/** The stack view's rows from top to bottom, as they are read. */
export async function stackRows(workbench: Workbench): Promise<string[]> {
  const found = workbench.view("Stack").locator(".monaco-list-row");
  return Promise.all((await found.all()).map(async (row) => (await row.textContent()) ?? ""));
}

/** Waits until the stack view has exactly the rows that these match. */
export async function untilRows(workbench: Workbench, expected: readonly RegExp[]): Promise<void> {
  const end = Date.now() + 20_000;
  for (;;) {
    const found = await stackRows(workbench);
    if (found.length === expected.length && expected.every((pattern, index) => pattern.test(found[index]!))) return;
    assert.ok(Date.now() < end, `rows: ${JSON.stringify(found)}, wanted: ${expected.join(", ")}`);
    await workbench.page.waitForTimeout(100);
  }
}
