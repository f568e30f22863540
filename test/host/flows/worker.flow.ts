import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Flow } from "../harness/flow.ts";
import { findWorkers, until } from "../harness/processes.ts";

export const flow: Flow = {
  name: "a job is cancelled, then its worker killed: one message with Restart, and the next job works",
  settings: { "tensorrt.generate.steps": 4_000 },
  async run({ workbench, workspace, server }) {
    await workbench.openContainer();
    await workbench.command("TensorRT: Export Engine…");
    await workbench.pick("Export Engine", "emoji-xl.safetensors");
    await workbench.pick("Export Engine", "As the checkpoint");
    await workbench.notification("The engine emoji-xl is ready").waitFor({ timeout: 120_000 });
    await workbench.clearNotifications();

    const generate = async (): Promise<void> => {
      await workbench.command("TensorRT: Generate Image…");
      await workbench.pick("Generate Image", "emoji-xl");
      await workbench.quickPickRow("ink.safetensors").waitFor();
      await workbench.page.keyboard.press("Enter");
      await workbench.type("The prompt", "a cat face");
    };
    await generate();
    const progress = workbench.notification("sampling");
    await progress.waitFor({ timeout: 60_000 });
    await workbench.screenshot("worker-1-progress");
    await progress.getByText("Cancel", { exact: true }).click();
    await progress.waitFor({ state: "detached", timeout: 30_000 });
    assert.deepEqual(written(workspace), [], "a cancelled job leaves nothing");

    await generate();
    await workbench.notification("sampling").waitFor({ timeout: 60_000 });
    const worker = findWorkers(server)[0];
    assert.ok(worker);
    process.kill(worker.id, "SIGKILL");
    const message = workbench.notification("ended unexpectedly");
    await message.waitFor({ timeout: 30_000 });
    await workbench.page.waitForTimeout(1_000);
    await workbench.screenshot("worker-2-killed");
    assert.equal(await workbench.allNotifications().count(), 1, "one message, no more");
    assert.equal(findWorkers(server).length, 0);
    await message.getByText("Restart", { exact: true }).click();
    await until("the new worker", () => findWorkers(server).length === 1);

    await workbench.contextMenu(workbench.treeRow("ink.safetensors"), "Inspect…");
    await workbench.tab("ink.safetensors").waitFor({ timeout: 30_000 });
    await workbench.screenshot("worker-3-next-job");
    assert.deepEqual(written(workspace), []);
  },
};

/** What lies in the folder for pictures. */
function written(workspace: string): string[] {
  return readdirSync(workspace).includes("images") ? readdirSync(join(workspace, "images")) : [];
}
