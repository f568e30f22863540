import { checkAccessibility } from "../harness/accessibility.ts";
import type { Flow } from "../harness/flow.ts";
import { GenerationPage } from "../harness/generation.ts";
import { until } from "../harness/processes.ts";
import { exportDemoEngine } from "../harness/workspace.ts";

const THEMES = {
  light: "Default Light Modern",
  dark: "Default Dark Modern",
  contrast: "Default High Contrast",
  "contrast-light": "Default High Contrast Light",
};

export const flow: Flow = {
  name: "generation panel in every theme and in a narrow column, with no serious finding of axe-core",
  settings: { "tensorrt.generate.cfg": 4, "tensorrt.generate.schedule": "leading", "workbench.colorTheme": THEMES.dark },
  prepare: exportDemoEngine,
  async run({ workbench, changeSettings }) {
    const page = await GenerationPage.open(workbench);
    const prompts = ["red apple", "umbrella", "soccer ball", "crown", "rocket"];
    await page.type({ seed: "42", width: "128", height: "128" });
    await page.seedMode("keep");
    for (const [index, prompt] of prompts.entries()) {
      await page.type({ prompt });
      await page.generate.click();
      await page.pictures(index + 1);
    }
    await page.button("Add LoRA").click();
    await workbench.check("Add to Stack", "ink.safetensors");
    await workbench.quickPickRow("opposite-hue.safetensors").first().click();
    await workbench.page.keyboard.press("Enter");
    for (const [name, scale] of [
      ["ink", "0.4"],
      ["opposite-hue", "0.7"],
    ] as const) {
      const field = page.frame.getByRole("textbox", { name: `Scale of ${name}` });
      await field.fill(scale);
      await field.press("Enter");
      await until("the scale", async () => (await page.frame.getByRole("slider", { name: `Scale of ${name}` }).inputValue()) === scale);
    }
    await page.type({ prompt: "red apple" });
    await page.generate.click();
    await page.pictures(6);
    for (const [name, theme] of Object.entries(THEMES)) {
      changeSettings({ "workbench.colorTheme": theme });
      await workbench.page.waitForTimeout(1_000);
      await workbench.screenshot(`looks-${name}`);
      await checkAccessibility(page.frame, `the panel, ${name}`);
    }
    await workbench.page.setViewportSize({ width: 760, height: 850 });
    await workbench.screenshot("looks-narrow");
    await checkAccessibility(page.frame, "the narrow panel");
    await page.thumbnails.first().scrollIntoViewIfNeeded();
    await workbench.screenshot("looks-narrow-below");
  },
};
