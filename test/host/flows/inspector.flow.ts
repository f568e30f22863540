import assert from "node:assert/strict";
import { checkAccessibility, webviewFrame } from "../harness/accessibility.ts";
import type { Flow } from "../harness/flow.ts";

export const flow: Flow = {
  name: "inspector: a LoRA's map, table, details, figures and metadata",
  async run({ workbench, changeSettings }) {
    await workbench.openContainer();
    await workbench.treeRow("ink.safetensors").waitFor({ timeout: 60_000 });
    await workbench.contextMenu(workbench.treeRow("ink.safetensors"), "Inspect");
    const frame = await webviewFrame(workbench, "inspector");
    await frame.locator(".map-cell").first().waitFor();
    await frame.getByText("Choose Base…").click();
    await workbench.pick("Measure Against", "emoji-xl.safetensors");
    await frame.getByText("Measured against").waitFor({ timeout: 30_000 });
    await workbench.page.waitForTimeout(4_000);
    await workbench.screenshot("inspector-1-overview");
    await frame.locator("#tab-layers").click();
    await frame.locator(".grid-row").first().waitFor();
    await workbench.screenshot("inspector-2-table");
    await frame.locator(".grid-row").nth(3).click();
    await frame.locator("canvas[data-complete=true]").waitFor({ timeout: 30_000 });
    await workbench.screenshot("inspector-3-detail");
    changeSettings({ "workbench.colorTheme": "Default Dark Modern" });
    await workbench.page.waitForTimeout(1_000);
    await frame.locator("redux-heat-map").scrollIntoViewIfNeeded();
    await workbench.screenshot("inspector-4-detail-dark");
    await frame.locator("#tab-overview").click();
    await workbench.screenshot("inspector-5-overview-dark");
    changeSettings({ "workbench.colorTheme": "Default High Contrast" });
    await workbench.page.waitForTimeout(1_000);
    await workbench.screenshot("inspector-6-overview-contrast");
    await checkAccessibility(frame, "overview");
    await frame.locator("#tab-metadata").click();
    await workbench.screenshot("inspector-7-metadata");
    await checkAccessibility(frame, "metadata");
    await frame.locator("#tab-layers").click();
    await workbench.screenshot("inspector-8-layers-contrast");
    await checkAccessibility(frame, "layers");
    assert.ok(frame);
  },
};
