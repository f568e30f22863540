import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Flow } from "../harness/flow.ts";
import { findWorkers, until } from "../harness/processes.ts";
import { exportDemoEngine } from "../harness/workspace.ts";

export const flow: Flow = {
  name: "two windows on one workspace: each has its own worker and stack, both see what either one makes",
  prepare: exportDemoEngine,
  async run({ workbench, workspace, server, openWindow }) {
    await workbench.openContainer();
    await workbench.treeRow("SDXL").first().waitFor({ timeout: 60_000 });
    const other = await openWindow();
    await other.openContainer();
    await other.treeRow("SDXL").first().waitFor({ timeout: 60_000 });

    for (const window of [workbench, other]) {
      await window.command("TensorRT: Load Engine");
      await window.pick("Load Engine", "emoji-xl");
      await window.view("Stack").getByText("No LoRA is on this engine's stack").waitFor({ timeout: 60_000 });
    }
    assert.equal(findWorkers(server).length, 2);

    await workbench.command("TensorRT: Add to Stack…");
    await workbench.check("Add to Stack", "ink.safetensors");
    await workbench.page.keyboard.press("Enter");
    await workbench.view("Stack").getByText("192 weights").waitFor({ timeout: 30_000 });
    await other.view("Stack").getByText("No LoRA is on this engine's stack").waitFor();

    // At the same time, onto the same file.
    await Promise.all(
      [workbench, other].map(async (window) => {
        await window.command("TensorRT: Export Delta…");
        await window.pick("Export Delta", "emoji-xl");
        await window.pick("Export Delta", "ink.safetensors");
        await window.notification("192 weights").waitFor({ timeout: 60_000 });
      }),
    );
    assert.ok(existsSync(join(workspace, "engines", "emoji-xl_ink_s1.00.trt_lora")));
    for (const window of [workbench, other]) await window.treeRow("emoji-xl_ink_s1.00.trt_lora").waitFor({ timeout: 30_000 });

    // The end of one window's worker is none of the other's.
    const [first] = findWorkers(server);
    process.kill(first!.id, "SIGKILL");
    await until("one worker", () => findWorkers(server).length === 1);
    const crashed = await Promise.race(
      [workbench, other].map(async (window) => {
        await window.notification("ended unexpectedly").waitFor({ timeout: 30_000 });
        return window;
      }),
    );
    const unharmed = crashed === workbench ? other : workbench;
    assert.equal(await unharmed.notification("ended unexpectedly").count(), 0);
    await unharmed.treeRow("in memory").first().waitFor();
    await other.close();
  },
};
