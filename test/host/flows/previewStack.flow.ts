import assert from "node:assert/strict";
import { checkAccessibility, webviewFrame } from "../harness/accessibility.ts";
import type { Flow } from "../harness/flow.ts";
import { loadWithInk, untilRows } from "../harness/stack.ts";
import type { Workbench } from "../harness/workbench.ts";
import { exportDemoEngine } from "../harness/workspace.ts";

const TITLE = "What Would This Stack Change?";

/** Waits for the numbers of the comparison in front, and closes it. */
async function facts(workbench: Workbench, pattern: RegExp, screenshot: string): Promise<void> {
  const frame = await webviewFrame(workbench, "compare");
  const cell = frame.locator(".map-cell").first();
  await cell.waitFor({ timeout: 60_000 });
  const colour = await cell.evaluate((element) => (element as { style: { backgroundColor: string } }).style.backgroundColor);
  assert.match(colour, /^rgb/, "the map is coloured when it is drawn first");
  assert.match(await frame.locator(".facts").innerText(), pattern);
  await frame.getByText("Measured against emoji-xl").waitFor();
  await workbench.screenshot(screenshot);
  await checkAccessibility(frame, screenshot);
  await workbench.command("View: Close All Editors");
}

export const flow: Flow = {
  name: "preview: what the stack would change, from its title, its rows, the palette, an engine and a LoRA that is not on it",
  prepare: exportDemoEngine,
  async run({ workbench }) {
    const { page } = workbench;
    await workbench.openContainer();
    const engine = workbench.view("Engines").locator(".monaco-list-row").filter({ hasText: "emoji-xl" });
    await engine.waitFor({ timeout: 60_000 });
    await workbench.contextMenu(engine, TITLE);
    await workbench.notification("No LoRA is switched on in the stack of emoji-xl").waitFor();
    await workbench.clearNotifications();

    await loadWithInk(workbench);

    const row = workbench.view("Stack").locator(".monaco-list-row").first();
    await row.hover();
    await row.getByRole("button", { name: TITLE }).click();
    await facts(workbench, /192/, "preview-1-row");

    // By keys: from the title to its actions, and along them.
    const title = workbench.view("Stack").locator(".pane-header");
    await title.focus();
    await page.keyboard.press("Tab");
    const isReached = async (): Promise<boolean> =>
      (await title.getByRole("button", { name: TITLE }).and(page.locator(":focus")).count()) > 0;
    for (let step = 0; step < 5 && !(await isReached()); step++) await page.keyboard.press("ArrowRight");
    await page.keyboard.press("Enter");
    await facts(workbench, /192/, "preview-2-title");

    await workbench.contextMenu(workbench.treeRow("opposite-hue.safetensors"), "What Would This Change in the Stack?");
    await facts(workbench, /In both\s+192\s+Only in A\s+58/, "preview-3-addition");
    await untilRows(workbench, [/ink× 1\.00 · 192 weights/]);

    await workbench.command("TensorRT: Focus on Stack View");
    await page.keyboard.press("Home");
    await page.keyboard.press("Space");
    await untilRows(workbench, [/ink× 1\.00 · off/]);
    await workbench.command(`TensorRT: ${TITLE}`);
    await workbench.notification("No LoRA is switched on in the stack of emoji-xl").waitFor();
  },
};
