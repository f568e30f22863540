import type { Flow } from "../harness/flow.ts";
import { loadWithInk, untilEmptyStack, untilRows } from "../harness/stack.ts";
import { THEMES } from "../harness/themes.ts";
import { exportDemoEngine } from "../harness/workspace.ts";

export const flow: Flow = {
  name: "stack: LoRAs are put on it, scaled, switched off, moved and taken off, by keys alone and by dragging",
  prepare: exportDemoEngine,
  async run({ workbench, changeSettings }) {
    const { page } = workbench;
    await workbench.openContainer();
    await workbench.welcome("The stack holds the LoRAs of a loaded engine").waitFor({ timeout: 60_000 });
    await loadWithInk(workbench);
    // The message moves the rows down: they are dropped on once it stands there.
    await workbench
      .view("Stack")
      .getByText(/Applied in \d+ ms: merge \d+ ms, refit \d+ ms/)
      .waitFor();
    await workbench.drag(workbench.treeRow("opposite-hue.safetensors"), workbench.view("Stack").locator(".monaco-list-row").first());
    await untilRows(workbench, [/opposite-hue× 1\.00 · 270 weights/, /ink× 1\.00/]);

    // By keys from here on.
    await workbench.command("TensorRT: Focus on Stack View");
    await page.keyboard.press("Home");
    for (const key of ["=", "=", "NumpadAdd", "-"]) await page.keyboard.press(key);
    await untilRows(workbench, [/opposite-hue× 1\.10/, /ink× 1\.00/]);
    await page.keyboard.press("Alt+ArrowDown");
    await untilRows(workbench, [/ink× 1\.00/, /opposite-hue× 1\.10/]);
    await page.keyboard.press("Alt+ArrowUp");
    await untilRows(workbench, [/opposite-hue× 1\.10/, /ink× 1\.00/]);
    await page.keyboard.press("Enter");
    await workbench.type("The scale of opposite-hue.safetensors", "0,35");
    await untilRows(workbench, [/opposite-hue× 0\.35 · 270 weights/, /ink× 1\.00/]);
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Space");
    await untilRows(workbench, [/opposite-hue× 0\.35/, /ink× 1\.00 · off/]);
    await workbench.statusBarItem("1 LoRA").waitFor();

    for (const [name, theme] of Object.entries(THEMES)) {
      changeSettings({ "workbench.colorTheme": theme });
      await page.waitForTimeout(1_000);
      await workbench.screenshot(`stack-${name}`);
    }

    await page.reload();
    await workbench.welcome("The stack holds the LoRAs of a loaded engine").waitFor({ timeout: 60_000 });
    await workbench.command("TensorRT: Load Engine");
    await workbench.pick("Load Engine", "emoji-xl");
    await untilRows(workbench, [/opposite-hue× 0\.35 · 270 weights/, /ink× 1\.00 · off/]);

    await workbench.command("TensorRT: Focus on Stack View");
    await page.keyboard.press("Home");
    await page.keyboard.press("Delete");
    await untilRows(workbench, [/ink× 1\.00 · off/]);
    await workbench.command("TensorRT: Clear Stack");
    await untilEmptyStack(workbench);
  },
};
