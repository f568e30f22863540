import assert from "node:assert/strict";
import type { Flow } from "../harness/flow.ts";
import { checkAccessibility } from "../harness/accessibility.ts";
import { GenerationPage, writtenPictures } from "../harness/generation.ts";
import { findWorkers, nativeLibraries } from "../harness/processes.ts";
import { exportDemoEngine } from "../harness/workspace.ts";

export const flow: Flow = {
  name: "generation panel in Restricted Mode: it opens, says why it cannot run, and nothing native starts",
  trusted: false,
  prepare: exportDemoEngine,
  async run({ workbench, workspace, server }) {
    const page = await GenerationPage.open(workbench);
    await page.frame.getByText("off in Restricted Mode").waitFor({ timeout: 30_000 });
    await page.type({ prompt: "red apple" });
    // The tokenizer runs no native code.
    await page.frame.locator("#tokens-prompt").filter({ hasText: "2 of 75" }).waitFor({ timeout: 30_000 });
    assert.ok(await page.generate.isDisabled());
    assert.ok(await page.button("Load").isDisabled());
    await page.field("prompt").press("Control+Enter");
    await workbench.screenshot("generation-restricted");
    await checkAccessibility(page.frame, "the panel in Restricted Mode");
    assert.deepEqual(writtenPictures(workspace), []);
    for (const { id } of findWorkers(server)) assert.deepEqual(nativeLibraries(id), []);
    await page.button("Manage Workspace Trust").click();
    await workbench.page.getByText("You are in Restricted Mode").waitFor();
  },
};
