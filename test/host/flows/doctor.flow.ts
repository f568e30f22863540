import assert from "node:assert/strict";
import { checkAccessibility, webviewFrame } from "../harness/accessibility.ts";
import type { Flow } from "../harness/flow.ts";
import { THEMES } from "../harness/themes.ts";

export const flow: Flow = {
  name: "doctor: a page says what runs engines here, and its buttons do what can be done",
  async run({ workbench, changeSettings }) {
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
    await workbench.page.locator(".settings-editor").getByText("Library Path").first().waitFor({ timeout: 60_000 });
  },
};
