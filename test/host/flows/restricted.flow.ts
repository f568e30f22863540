import assert from "node:assert/strict";
import { webviewFrame } from "../harness/accessibility.ts";
import type { Flow } from "../harness/flow.ts";
import { findWorkers, nativeLibraries } from "../harness/processes.ts";

export const flow: Flow = {
  name: "in Restricted Mode files are shown, and a command says why it does not run",
  trusted: false,
  async run({ workbench, server }) {
    await workbench.openContainer();
    await workbench.treeRow("rank 8").waitFor({ timeout: 60_000 });
    await workbench.welcome("running engines is off until").waitFor();
    await workbench.command("TensorRT: Doctor");
    await workbench.notification("off in Restricted Mode").waitFor();
    await workbench.screenshot("restricted");
    await workbench.clearNotifications();

    // Looking inside is done in JavaScript.
    await workbench.contextMenu(workbench.treeRow("rank 8"), "Inspect");
    const inspector = await webviewFrame(workbench, "inspector");
    await inspector.getByText("the only model here that fits").waitFor({ timeout: 60_000 });
    await inspector.getByRole("radio", { name: "Absolute" }).click();
    await inspector.locator(".map-cell[aria-label^='IN 4, attn1 q: 2.291']").waitFor({ timeout: 60_000 });
    await inspector.locator("#tab-layers").click();
    await inspector.locator(".grid-row").first().click();
    await inspector.locator("canvas[data-complete=true]").waitFor({ timeout: 60_000 });
    await workbench.screenshot("restricted-inspector");
    await workbench.contextMenu(workbench.treeRow("rank 8"), "Compare");
    await workbench.pick("Compare", "opposite-hue.safetensors");
    const comparison = await webviewFrame(workbench, "compare");
    await comparison.locator(".map-cell").first().waitFor({ timeout: 60_000 });
    assert.ok(findWorkers(server).length > 0);
    for (const { id } of findWorkers(server)) assert.deepEqual(nativeLibraries(id), []);
  },
};
