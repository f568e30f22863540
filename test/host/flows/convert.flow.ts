import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Flow } from "../harness/flow.ts";
import { writeVersion1 } from "../harness/version1.ts";
import { exportDemoEngine } from "../harness/workspace.ts";

const BLOCK = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0";
const LAYERS = ["q", "k", "v"].map((part) => `${BLOCK}.attn1.to_${part}.weight`);
const TITLE = "Convert Delta of Version 1";

export const flow: Flow = {
  name: "convert: a delta of version 1 is told from others, converted by its menu, and then says which engine it fits",
  prepare: exportDemoEngine,
  async run({ workbench, workspace }) {
    const { page } = workbench;
    await writeVersion1(join(workspace, "loras", "old.trt_lora"), join(workspace, "models", "emoji-xl.safetensors"), LAYERS);
    await workbench.openContainer();
    const row = workbench.treeRow("old.trt_lora");
    await row.filter({ hasText: "version 1 · 3 layers" }).waitFor({ timeout: 60_000 });

    await workbench.contextMenu(row, TITLE);
    await workbench.pick(TITLE, "emoji-xl");
    await workbench.pick(TITLE, "Small…");
    await workbench.type("The largest rank", "4");
    const dialog = page.locator(".quick-input-widget:visible").filter({ hasText: TITLE });
    await dialog
      .getByRole("button", { name: "Save" })
      .or(dialog.getByRole("button", { name: "OK" }))
      .first()
      .waitFor();
    await workbench.screenshot("convert-1-name");
    await page.keyboard.press("Enter");
    await workbench.notification("emoji-xl_old_s1.00.trt_lora is ready: 3 weights. the factors differ").waitFor({ timeout: 60_000 });
    await workbench.treeRow("emoji-xl_old_s1.00.trt_lora").filter({ hasText: "fits emoji-xl · SDXL · rank 4 · 3 layers" }).waitFor();
    await workbench.screenshot("convert-2-fits");
    assert.ok(existsSync(join(workspace, "loras", "emoji-xl_old_s1.00.trt_lora")));
    await workbench.clearNotifications();

    // From the palette the delta is asked for; those of version 2 are not among them.
    await workbench.command(`TensorRT: ${TITLE}…`);
    await workbench.quickPickRow("old.trt_lora").first().waitFor();
    assert.equal(await workbench.quickPickRow("emoji-xl_old").count(), 0);
    await page.keyboard.press("Escape");
    assert.equal(await workbench.allNotifications().count(), 0, "turned away, nothing is said");
  },
};
