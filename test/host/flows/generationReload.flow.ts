import assert from "node:assert/strict";
import type { Flow } from "../harness/flow.ts";
import { GenerationPage, writtenPictures } from "../harness/generation.ts";
import { findWorkers, until } from "../harness/processes.ts";
import { exportDemoEngine } from "../harness/workspace.ts";

export const flow: Flow = {
  name: "generation panel reloaded in the middle of a job, its worker killed, the window reloaded, a second window",
  settings: { "tensorrt.generate.cfg": 4, "tensorrt.generate.schedule": "simple" },
  prepare: exportDemoEngine,
  async run({ workbench, workspace, server, openWindow }) {
    let page = await GenerationPage.open(workbench);
    await page.type({ prompt: "penguin", steps: "150", seed: "5", width: "96" });
    await page.seedMode("next");
    await page.generate.click();
    await page.preview.waitFor({ timeout: 60_000 });
    assert.equal(await page.field("seed").inputValue(), "6");

    await workbench.command("Developer: Reload Webviews");
    await until("the old page's end", () => page.frame.isDetached());
    page = await GenerationPage.shown(workbench);
    await page.preview.waitFor({ timeout: 30_000 });
    assert.deepEqual([await page.field("prompt").inputValue(), await page.field("width").inputValue()], ["penguin", "96"]);
    await page.pictures(1);
    assert.equal(writtenPictures(workspace).length, 1, "the job went on without the page");

    // The one that is killed is a grid.
    await page.type({ steps: "600" });
    await page.field("isGrid").check();
    await page.generate.click();
    await page.preview.waitFor({ timeout: 60_000 });
    await page.type({ steps: "4" });
    await page.field("isGrid").uncheck();
    await page.generate.click();
    await page.frame.locator(".queue li").waitFor();
    process.kill(findWorkers(server)[0]!.id, "SIGKILL");
    await page.frame.getByText("The engine worker ended during a job.").waitFor({ timeout: 30_000 });
    await until("both jobs in the queue", async () => (await page.frame.locator(".queue li").count()) === 2);
    assert.equal(writtenPictures(workspace).length, 1, "the killed job leaves nothing");
    await workbench.screenshot("reload-1-killed");
    await page.button("Continue").click();
    await page.preview.waitFor({ timeout: 60_000 });

    await workbench.page.reload();
    await workbench.page.locator(".monaco-workbench").waitFor({ timeout: 60_000 });
    page = await GenerationPage.shown(workbench);
    await page.frame.getByText("The window was reloaded during a job.").waitFor({ timeout: 60_000 });
    assert.deepEqual([await page.field("prompt").inputValue(), await page.field("steps").inputValue()], ["penguin", "4"]);
    assert.equal(await page.thumbnails.count(), 1);
    await workbench.screenshot("reload-2-window");
    await page.button("Take penguin out of the queue").first().click();
    await page.button("Continue").click();
    await page.pictures(2);

    // Another window on the same folder has a worker and a queue of its own, and the same history.
    await page.type({ prompt: "rocket", steps: "150" });
    await page.generate.click();
    await page.preview.waitFor({ timeout: 60_000 });
    const other = await openWindow();
    const second = await GenerationPage.open(other);
    assert.equal(await second.frame.getByText("The window was reloaded during a job.").count(), 0);
    // Two, or three where the first window's job was done before this one stood.
    const kept = await second.thumbnails.count();
    assert.ok(kept >= 2 && kept <= writtenPictures(workspace).length, `${kept} pictures in the second window's history`);
    await second.type({ prompt: "crown", steps: "8" });
    await second.generate.click();
    await until("both pictures", () => writtenPictures(workspace).length === 4, 120_000);
    assert.equal(findWorkers(server).length, 2);
    await other.close();
    await workbench.page.reload();
    await workbench.page.locator(".monaco-workbench").waitFor({ timeout: 60_000 });
    page = await GenerationPage.shown(workbench);
    await page.pictures(4);
  },
};
