import assert from "node:assert/strict";
import type { Flow } from "../harness/flow.ts";
import { THEMES } from "../harness/themes.ts";

export const flow: Flow = {
  name: "walkthrough: its steps show pictures and are done once their commands have run",
  async run({ workbench, changeSettings }) {
    const { page } = workbench;
    await workbench.openContainer();
    await workbench.treeRow("ink.safetensors").waitFor({ timeout: 60_000 });
    await workbench.command("Welcome: Open Walkthrough...");
    await workbench.quickPickRow("Get Started with TensorRT Redux").first().click({ timeout: 30_000 });
    const steps = page.locator(".getting-started-step");
    await steps.first().waitFor({ timeout: 60_000 });
    assert.equal(await steps.count(), 5);
    for (const [name, theme] of Object.entries(THEMES)) {
      changeSettings({ "workbench.colorTheme": theme });
      await page.waitForTimeout(1_500);
      await workbench.screenshot(`walkthrough-${name}`);
    }
    for (const title of ["Stack LoRAs on it", "Make a picture", "Look inside a LoRA", "See what this machine can do"]) {
      await steps.filter({ hasText: title }).click();
      await page.waitForTimeout(500);
      await workbench.screenshot(`walkthrough-${title.split(" ")[0]?.toLowerCase()}`);
    }
    const doctor = steps.filter({ hasText: "See what this machine can do" });
    await doctor.getByRole("button", { name: "Doctor" }).click();
    await workbench.tab("TensorRT Doctor").waitFor({ timeout: 60_000 });
    await workbench.tab("Welcome").click();
    await doctor.locator(".complete").waitFor({ timeout: 30_000 });
  },
};
