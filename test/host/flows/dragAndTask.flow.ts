import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Flow } from "../harness/flow.ts";

export const flow: Flow = {
  name: "a task exports, a LoRA dragged onto the engine becomes its delta, the failed task's file is a problem",
  async run({ workbench, workspace }) {
    await workbench.openContainer();
    await workbench.treeRow("ink.safetensors").waitFor({ timeout: 60_000 });
    await workbench.command("Tasks: Run Task");
    await workbench.quickPickRow("export emoji-xl").first().click();
    const engine = workbench.treeRow("engines-by-task");
    await engine.waitFor({ timeout: 120_000 });
    await workbench.screenshot("task-1-exported");
    assert.ok(existsSync(join(workspace, "engines-by-task", "engine.json")));

    await workbench.drag(workbench.treeRow("opposite-hue.safetensors"), engine);
    await workbench.notification("270 weights").waitFor({ timeout: 60_000 });
    await workbench.treeRow("engines-by-task_opposite-hue_s1.00.trt_lora").filter({ hasText: "fits engines-by-task" }).waitFor();
    await workbench.screenshot("task-2-dragged");
    await workbench.clearNotifications();

    await workbench.command("Tasks: Run Task");
    await workbench.quickPickRow("export a broken file").first().click();
    // The task's terminal comes to the front until it has ended.
    await workbench.page.locator('[id="status.problems"]').filter({ hasText: "1" }).waitFor({ timeout: 60_000 });
    await workbench.command("Problems: Focus on Problems View");
    await workbench.page
      .locator(".markers-panel .monaco-list-row")
      .filter({ hasText: "broken.safetensors" })
      .first()
      .waitFor({ timeout: 60_000 });
    await workbench.screenshot("task-3-problem");
  },
};
