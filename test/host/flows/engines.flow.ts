import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Flow } from "../harness/flow.ts";
import { THEMES } from "../harness/themes.ts";
import { exportDemoEngine } from "../harness/workspace.ts";

/** An engine as another machine's TensorRT would have built it, of the same files. */
function pretendForGpu(folder: string): void {
  const file = join(folder, "engine.json");
  const bundle = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
  const backend = { name: "tensorrt", version: "10.6.0" };
  writeFileSync(file, JSON.stringify({ ...bundle, backend, computeCapability: "9.0" }));
}

export const flow: Flow = {
  name: "engines: those that cannot run here say why; one is loaded, unloaded, rebuilt and deleted by its menu",
  prepare: (workspace) => {
    for (const name of ["emoji-xl", "for-an-h200", "incomplete"]) exportDemoEngine(workspace, name);
    pretendForGpu(join(workspace, "engines", "for-an-h200"));
    const folder = join(workspace, "engines", "incomplete");
    rmSync(
      join(
        folder,
        readdirSync(folder).find((name) => /^unet.*\.onnx$/.test(name))!,
      ),
    );
  },
  async run({ workbench, workspace, changeSettings }) {
    const { page } = workbench;
    await workbench.openContainer();
    const row = (name: string) => workbench.view("Engines").locator(".monaco-list-row").filter({ hasText: name });
    await row("emoji-xl").filter({ hasText: "SDXL" }).waitFor({ timeout: 60_000 });
    for (const name of ["for-an-h200", "incomplete"]) await row(name).locator(".codicon-warning").waitFor({ timeout: 60_000 });
    assert.match((await row("for-an-h200").textContent()) ?? "", /^for-an-h200.*(GPU|driver).* · SDXL .* · compute 9\.0$/);
    assert.match((await row("incomplete").getAttribute("aria-label")) ?? "", /is missing from the engine bundle/);
    assert.match((await row("for-an-h200").getAttribute("aria-label")) ?? "", /GPU|driver/);

    await workbench.contextMenu(row("emoji-xl"), "Load Engine");
    await row("emoji-xl").filter({ hasText: "in memory" }).waitFor({ timeout: 60_000 });
    await row("emoji-xl").click();
    await workbench.treeRow("text_encoder_2").waitFor();
    const isReached = async (): Promise<boolean> => (await row("for-an-h200").and(page.locator(".focused")).count()) > 0;
    for (let step = 0; step < 8 && !(await isReached()); step++) await page.keyboard.press("ArrowDown");
    for (const [name, theme] of Object.entries(THEMES)) {
      changeSettings({ "workbench.colorTheme": theme });
      await page.waitForTimeout(1_000);
      // "Show Hover" of a focused row.
      await page.keyboard.press("Control+k");
      await page.keyboard.press("Control+i");
      await page.locator(".monaco-hover:visible").filter({ hasText: "Architecture" }).first().waitFor({ timeout: 20_000 });
      await workbench.screenshot(`engines-${name}`);
    }
    await workbench.contextMenu(row("emoji-xl"), "Unload Engine");
    await row("emoji-xl").filter({ hasText: "in memory" }).waitFor({ state: "detached", timeout: 30_000 });

    // Nothing in it says what it was built from.
    await workbench.contextMenu(row("incomplete"), "Rebuild Engine");
    await workbench.pick("Rebuild Engine", "emoji-xl.safetensors");
    await row("incomplete").locator(".codicon-warning").waitFor({ state: "detached", timeout: 120_000 });

    await workbench.contextMenu(row("incomplete"), "Delete");
    const dialog = page.locator(".monaco-dialog-box");
    await dialog.filter({ hasText: "Move incomplete to the trash?" }).waitFor();
    await workbench.screenshot("engines-delete");
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
    assert.ok(existsSync(join(workspace, "engines", "incomplete")), "turned away, nothing is deleted");
    await workbench.contextMenu(row("incomplete"), "Delete");
    await dialog.getByRole("button", { name: "Move to Trash" }).click();
    // A machine without a trash asks once more.
    const permanently = dialog.getByRole("button", { name: "Delete Permanently" });
    await Promise.race([permanently.click({ timeout: 20_000 }).catch(() => {}), row("incomplete").waitFor({ state: "detached" })]);
    await row("incomplete").waitFor({ state: "detached", timeout: 30_000 });
    assert.ok(!existsSync(join(workspace, "engines", "incomplete")));
  },
};
