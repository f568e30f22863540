import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { encodePng } from "../../../src/formats/png.ts";
import type { Flow } from "../harness/flow.ts";
import { GenerationPage } from "../harness/generation.ts";
import { loadEngine, untilEmptyStack, untilRows } from "../harness/stack.ts";
import { exportDemoEngine } from "../harness/workspace.ts";

const PARAMETERS = "crown\nSteps: 6, Sampler: Euler, Schedule type: Karras, CFG scale: 3.5, Seed: 42, Size: 64x96";

export const flow: Flow = {
  name: "dragging by the mouse: from the explorer and the deltas view onto the stack, in the stack, and a picture into the panel",
  prepare: (workspace) => {
    exportDemoEngine(workspace);
    mkdirSync(join(workspace, "pictures"));
    const picture = { width: 64, height: 96, data: new Uint8Array(64 * 96 * 3).fill(120) };
    writeFileSync(join(workspace, "pictures", "crown.png"), encodePng(picture, PARAMETERS));
  },
  async run({ workbench }) {
    const { page } = workbench;
    await workbench.openContainer();
    await loadEngine(workbench);
    await workbench.drag(workbench.treeRow("ink.safetensors"), workbench.view("Stack").getByText("Add to Stack…"));
    await untilRows(workbench, [/ink× 1\.00 · 192 weights/]);
    await workbench.command("TensorRT: Clear Stack");
    await untilEmptyStack(workbench);

    // The stack beside the explorer, as a person puts it who works with the files there.
    await workbench.command("View: Move View");
    await workbench.quickPickRow("Stack").first().click();
    await workbench.quickPickRow("New Secondary Side Bar Entry").first().click();
    await workbench.command("View: Show Explorer");
    const file = (name: string) => page.locator(".explorer-folders-view .monaco-list-row").filter({ hasText: name });
    const row = (name: string) => workbench.view("Stack").locator(".monaco-list-row").filter({ hasText: name });
    await file("loras").click();
    await workbench.drag(file("ink.safetensors"), workbench.view("Stack").getByText("Add to Stack…"));
    await untilRows(workbench, [/ink× 1\.00 · 192 weights/]);
    await workbench.drag(file("opposite-hue.safetensors"), row("ink"));
    await untilRows(workbench, [/opposite-hue× 1\.00 · 270 weights/, /ink× 1\.00/]);
    await workbench.drag(row("ink"), row("opposite-hue"));
    await untilRows(workbench, [/ink× 1\.00/, /opposite-hue× 1\.00/]);
    await workbench.screenshot("dragging-1-stack");

    await file("pictures").click();
    await workbench.command("TensorRT: Open Generation Panel");
    const panel = await GenerationPage.shown(workbench);
    await workbench.drag(file("crown.png"), panel.frame.locator(".result"), "Shift");
    await panel.frame.getByText("Settings restored.").first().waitFor();
    await workbench.screenshot("dragging-2-panel");
    assert.equal(await panel.field("prompt").inputValue(), "crown");
    await workbench.drag(file("crown.png"), panel.frame.locator("[data-drop=source]"), "Shift");
    await panel.frame.locator(".source-picture img").waitFor();
  },
};
