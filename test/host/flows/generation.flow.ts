import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkAccessibility } from "../harness/accessibility.ts";
import type { Flow } from "../harness/flow.ts";
import { GenerationPage, writtenPictures } from "../harness/generation.ts";
import { until } from "../harness/processes.ts";
import { exportDemoEngine } from "../harness/workspace.ts";

export const flow: Flow = {
  name: "generation panel: previews and the picture, a slider changes the next one, cancel, problems at their fields",
  settings: { "tensorrt.generate.cfg": 4, "tensorrt.generate.schedule": "leading" },
  prepare: exportDemoEngine,
  async run({ workbench, workspace, changeSettings }) {
    let page = await GenerationPage.open(workbench);
    await workbench.screenshot("generation-1-opened");
    await checkAccessibility(page.frame, "the empty panel");

    await page.type({ prompt: "red apple", seed: "42", width: "128" });
    await page.seedMode("keep");
    await until("the tokens", async () => (await page.frame.locator("#tokens-prompt").textContent())?.startsWith("2 of 75"));
    await page.generate.click();
    await page.preview.waitFor({ timeout: 60_000 });
    const preview = await page.look(page.preview);
    await workbench.screenshot("generation-2-preview");
    await page.pictures(1);
    await workbench.screenshot("generation-3-picture");
    const first = await page.look();
    assert.ok(first.deviation > 20, `the picture is no blank: ${first.deviation}`);
    assert.ok(preview.deviation > 5, `the preview is no blank: ${preview.deviation}`);

    await page.button("Add LoRA").click();
    await workbench.check("Add to Stack", "ink.safetensors");
    await workbench.page.keyboard.press("Enter");
    const slider = page.frame.getByRole("slider", { name: "Scale of ink" });
    await slider.waitFor();
    await until("the refit", async () => /^refit [\d.]+ ms$/.test((await page.frame.locator(".refit").textContent()) ?? ""));
    await page.generate.click();
    await page.pictures(2);
    const inked = await page.look();
    assert.notDeepEqual(inked.pixels, first.pixels);
    await slider.focus();
    for (let step = 0; step < 10; step++) await workbench.page.keyboard.press("ArrowLeft");
    // Before the slider has come to rest.
    await workbench.page.keyboard.press("Control+Enter");
    await page.pictures(3);
    assert.equal(await slider.inputValue(), "0.5");
    await workbench.screenshot("generation-4-stack");
    assert.notDeepEqual((await page.look()).pixels, inked.pixels, "the slider acts on the next picture");
    assert.match(parametersText(workspace), /<lora:ink:0\.5>/);
    await checkAccessibility(page.frame, "the panel with pictures");

    await page.type({ steps: "900" });
    await page.generate.click();
    await page.preview.waitFor({ timeout: 60_000 });
    await page.generate.click();
    await until("the queue", async () => (await page.frame.locator(".queue li").count()) === 1);
    await workbench.screenshot("generation-5-queue");
    await page.button("Take red apple out of the queue").click();
    await page.field("cancel").click();
    await page.picture.waitFor({ timeout: 30_000 });
    assert.equal(writtenPictures(workspace).length, 3, "a cancelled job leaves nothing");

    await page.type({ width: "130", steps: "many", prompt: "red <lora:nothing:1> <b>apple</b>" });
    await page.problem("width").filter({ hasText: "multiple of 8, such as 128 or 136" }).waitFor();
    await page.problem("steps").filter({ hasText: "whole number" }).waitFor();
    await page.generate.click();
    await until("the focus on what is wrong", () =>
      page.field("width").evaluate((field) => (field as { matches(s: string): boolean }).matches(":focus")),
    );
    await page.type({ width: "4096", steps: "4" });
    await page.problem("width").filter({ hasText: "from 64 to 2048" }).waitFor();
    await page.type({ width: "" });
    await page.generate.click();
    await page.problem("prompt").filter({ hasText: "no LoRA or delta named nothing" }).waitFor();
    await workbench.screenshot("generation-6-problems");
    await page.type({ prompt: "<b>apple</b><img src=x onerror=alert(1)>" });
    await page.generate.click();
    await page.pictures(4);
    assert.equal(await page.frame.locator(".caption").textContent(), "<b>apple</b><img src=x onerror=alert(1)>", "HTML is text");
    assert.equal(await page.frame.locator(".caption b, .caption img").count(), 0);
    await page.type({ batch: "2" });
    await page.generate.click();
    await page.pictures(5);
    await page.frame.locator(".badge").filter({ hasText: "2" }).waitFor();
    const one = await page.picture.getAttribute("src");
    await page.frame.getByRole("group", { name: "Batch" }).getByRole("button", { name: "2" }).click();
    await until("the other picture of the batch", async () => (await page.picture.getAttribute("src")) !== one);
    assert.equal(writtenPictures(workspace).length, 6);
    assert.match(parametersText(workspace), /<b>apple<\/b>.*<lora:ink:0\.5>/);

    // Asked for one after the other, faster than they are answered: each has a seed of its own.
    await page.type({ batch: "1", seed: "7" });
    await page.seedMode("next");
    await page.frame.evaluate(pressControlEnter, 3);
    await page.pictures(8);
    assert.equal(await page.field("seed").inputValue(), "10");
    const seeds = [-3, -2, -1].map((place) => /Seed: (\d+)/.exec(parametersText(workspace, place))?.[1]);
    assert.deepEqual(seeds, ["7", "8", "9"]);

    // Pictures are seen wherever they go from now on.
    const elsewhere = mkdtempSync(join(tmpdir(), "tensorrt-pictures-"));
    changeSettings({ "tensorrt.outputFolder": elsewhere });
    await until("the new page", () => page.frame.isDetached(), 30_000);
    page = await GenerationPage.shown(workbench);
    await page.generate.click();
    await page.pictures(9);
    assert.equal(readdirSync(elsewhere).length, 1);
    await until("the picture", () => page.picture.evaluate((picture) => (picture as { naturalWidth: number }).naturalWidth > 0));
    rmSync(elsewhere, { recursive: true });
  },
};

/** What a picture in the workspace, the last one unless told, says that it was made with. */
function parametersText(workspace: string, place = -1): string {
  return readFileSync(join(workspace, "images", writtenPictures(workspace).at(place)!), "latin1");
}

declare const KeyboardEvent: new (type: string, options: object) => unknown;

/** Runs in the page. */
function pressControlEnter(times: number): void {
  const page = globalThis as unknown as { document: { dispatchEvent(event: unknown): void } };
  for (let time = 0; time < times; time++) page.document.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", ctrlKey: true }));
}
