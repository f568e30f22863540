import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { checkAccessibility, webviewFrame } from "../harness/accessibility.ts";
import type { Flow } from "../harness/flow.ts";
import { findWorkers, until } from "../harness/processes.ts";
import { THEMES } from "../harness/themes.ts";

export const flow: Flow = {
  name: "doctor: a page says what runs engines here, its buttons do what can be done, and so do the palette's commands",
  async run({ workbench, workspace, server, changeSettings }) {
    await workbench.openContainer();
    await workbench.command("TensorRT: Doctor");
    await workbench.tab("TensorRT Doctor").waitFor({ timeout: 60_000 });
    const frame = await webviewFrame(workbench, "doctor");
    await frame.getByText("Engines run on the processor, with ONNX Runtime.").waitFor();
    const runtime = frame.locator(".finding", { has: frame.getByRole("heading", { name: /^TensorRT-RTX/ }) });
    assert.match((await runtime.textContent()) ?? "", /not found/);
    await runtime.getByText(/Places looked in/).click();
    for (const [name, theme] of Object.entries(THEMES)) {
      changeSettings({ "workbench.colorTheme": theme });
      await workbench.page.waitForTimeout(1_000);
      await workbench.screenshot(`doctor-${name}`);
      await checkAccessibility(frame, `the doctor's page, ${name}`);
    }
    await frame.getByRole("button", { name: "Look Again" }).click();
    await frame.getByRole("button", { name: "Look Again", disabled: false }).waitFor({ timeout: 60_000 });
    assert.equal(await frame.locator(".failure").textContent(), "");
    await runtime.getByRole("button", { name: "Set Library Folder" }).click();
    const { page } = workbench;
    await page.locator(".settings-editor").getByText("Library Path").first().waitFor({ timeout: 60_000 });

    // What its other buttons do, from the palette.
    const closeSettings = async (): Promise<void> => {
      await page.locator(".settings-editor").press("Escape");
      await page.locator(".settings-editor").waitFor({ state: "detached" });
      // The focus goes back to what had it, and away from a palette that is opened meanwhile.
      await page.waitForTimeout(1_500);
    };
    await closeSettings();
    await workbench.command("TensorRT: Open Settings");
    await page.locator(".settings-editor").getByText("Engine Paths").first().waitFor({ timeout: 60_000 });
    await closeSettings();
    await workbench.command("TensorRT: Show Log");
    await page
      .locator(".part.panel .view-lines")
      .filter({ hasText: /engine\s+worker\s+runs\s+as\s+process/ })
      .waitFor({ timeout: 30_000 });
    const [worker] = findWorkers(server);
    await workbench.command("TensorRT: Restart Engine Worker");
    await until("another worker", () => findWorkers(server).some(({ id }) => id !== worker!.id));
    rmSync(join(workspace, "loras", "ink.safetensors"));
    await workbench.command("TensorRT: Refresh");
    await workbench.treeRow("ink.safetensors").waitFor({ state: "detached", timeout: 30_000 });
    await workbench.treeRow("opposite-hue.safetensors").waitFor();
  },
};
