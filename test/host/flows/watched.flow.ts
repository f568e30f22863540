import { copyFileSync, cpSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Flow } from "../harness/flow.ts";
import { exportDemoEngine } from "../harness/workspace.ts";

export const flow: Flow = {
  name: "watched: engines of tensorrt.enginePaths, revealed where they lie, and files that come, change and go while the views are open",
  prepare: exportDemoEngine,
  async run({ workbench, workspace, changeSettings }) {
    const outside = mkdtempSync(join(tmpdir(), "tensorrt-engines-"));
    const row = (view: string, name: string) => workbench.view(view).locator(".monaco-list-row").filter({ hasText: name });
    const [appears, goes] = [{ timeout: 30_000 }, { state: "detached", timeout: 30_000 }] as const;
    try {
      await workbench.openContainer();
      await row("Engines", "emoji-xl").filter({ hasText: "SDXL" }).waitFor({ timeout: 60_000 });

      cpSync(join(workspace, "engines", "emoji-xl"), join(outside, "elsewhere"), { recursive: true });
      changeSettings({ "tensorrt.enginePaths": [outside] });
      await row("Engines", "elsewhere").filter({ hasText: "SDXL · fp16" }).waitFor(appears);
      await workbench.screenshot("watched-1-outside");
      cpSync(join(outside, "elsewhere"), join(outside, "another"), { recursive: true });
      await row("Engines", "another").filter({ hasText: "SDXL · fp16" }).waitFor(appears);
      rmSync(join(outside, "elsewhere"), { recursive: true });
      await row("Engines", "elsewhere").waitFor(goes);

      // This window cannot open the file manager of the machine that holds the files.
      await workbench.contextMenu(row("Engines", "another"), "Reveal");
      await workbench.notification("lies outside of the workspace. Its path was copied.").waitFor();
      await workbench.clearNotifications();
      await workbench.contextMenu(row("Engines", "emoji-xl"), "Reveal");
      await workbench.page.locator(".explorer-folders-view .monaco-list-row.selected").filter({ hasText: "emoji-xl" }).waitFor();
      await workbench.openContainer();

      // Bytes that are no LoRA's at first, as while a download goes on; then the whole file, under another name, and nothing.
      const [part, whole] = ["part.trt_lora", "whole.safetensors"].map((name) => join(workspace, "downloads", name)) as [string, string];
      mkdirSync(join(workspace, "downloads"));
      copyFileSync(join(workspace, "models", "broken.safetensors"), part);
      await row("LoRAs", "part.trt_lora").locator(".codicon-warning").waitFor(appears);
      copyFileSync(join(workspace, "loras", "ink.safetensors"), part);
      renameSync(part, whole);
      await row("LoRAs", "whole.safetensors").filter({ hasText: "rank 8 · 192 layers" }).waitFor(appears);
      await row("LoRAs", "part.trt_lora").waitFor(goes);
      await workbench.screenshot("watched-2-came");
      rmSync(whole);
      await row("LoRAs", "downloads").waitFor(goes);
    } finally {
      rmSync(outside, { recursive: true, force: true });
    }
  },
};
