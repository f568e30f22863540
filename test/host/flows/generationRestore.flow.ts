import assert from "node:assert/strict";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseParameters } from "../../../src/formats/parameters.ts";
import { encodePng, readPng, readPngParameters } from "../../../src/formats/png.ts";
import { checkAccessibility } from "../harness/accessibility.ts";
import type { Flow } from "../harness/flow.ts";
import { GenerationPage, writtenPictures } from "../harness/generation.ts";
import { until } from "../harness/processes.ts";
import { exportDemoEngine } from "../harness/workspace.ts";

/** As the WebUI writes them, before its version 1.9 too. */
const FOREIGN = `crown (gold:1.2)
Negative prompt: blur
Steps: 6, Sampler: DPM++ 2M Karras, CFG scale: 3.5, Seed: 1234567890123, Size: 64x96, Model hash: 0000000000, Clip skip: 2, Version: v1.6.0`;

/** The fingerprint of another checkpoint, whose engine is there as well. */
const ZEBRA = "1".repeat(64);

export const flow: Flow = {
  name: "generation panel by keys: a LoRA is completed, pictures dropped or chosen restore their settings, a grid is one picture",
  settings: { "tensorrt.generate.cfg": 4, "tensorrt.generate.schedule": "leading", "tensorrt.generate.steps": 6 },
  prepare(workspace) {
    exportDemoEngine(workspace);
    const [engine, zebra] = ["emoji-xl", "zebra"].map((name) => join(workspace, "engines", name)) as [string, string];
    cpSync(engine, zebra, { recursive: true });
    const file = join(zebra, "engine.json");
    const bundle = JSON.parse(readFileSync(file, "utf8")) as { checkpoint: object };
    writeFileSync(file, JSON.stringify({ ...bundle, checkpoint: { ...bundle.checkpoint, fingerprint: ZEBRA } }));
  },
  async run({ workbench, workspace }) {
    const { keyboard } = workbench.page;
    const page = await GenerationPage.open(workbench);
    const value = (name: string): Promise<string> => page.field(name).inputValue();
    const focused = (): Promise<string | null> => page.frame.locator(":focus").first().getAttribute("name");

    // By keys alone: from the engine to the prompt, a LoRA by its first letters, Ctrl+Enter.
    await page.field("engine").focus();
    await keyboard.press("Tab");
    await keyboard.press("Tab");
    assert.equal(await focused(), "prompt");
    await keyboard.type("red apple <lora:in");
    await page.frame.getByRole("option", { name: "ink" }).first().waitFor();
    await workbench.screenshot("restore-1-completion");
    await checkAccessibility(page.frame, "the list of LoRAs");
    await keyboard.press("Enter");
    assert.equal(await value("prompt"), "red apple <lora:ink:1>");
    await keyboard.type("0.6");
    assert.equal(await value("prompt"), "red apple <lora:ink:0.6>");
    await keyboard.press("Control+Enter");
    await page.pictures(1);
    const seed = /seed (\d+)/.exec((await page.frame.locator(".about").textContent()) ?? "")![1]!;
    await page.button("Reuse Seed").focus();
    await keyboard.press("Enter");
    assert.equal(await value("seed"), seed);
    assert.ok(await page.frame.locator('input[value="keep"]').isChecked());

    // Another picture's settings, as another program wrote them.
    const foreign = encodePng({ width: 8, height: 8, data: new Uint8Array(192).fill(200) }, FOREIGN);
    await page.drop(page.frame.locator(".result"), "foreign.png", foreign);
    await page.frame.getByText("Settings restored.").first().waitFor();
    const restored = {
      prompt: "crown (gold:1.2)",
      negative: "blur",
      steps: "6",
      cfg: "3.5",
      seed: "1234567890123",
      width: "64",
      height: "96",
    };
    for (const [name, expected] of Object.entries({ ...restored, sampler: "dpmpp_2m", schedule: "karras" }))
      assert.equal(await value(name), expected, name);
    await page.button("Undo").click();
    await until("what was there before", async () => (await value("prompt")) === "red apple <lora:ink:0.6>");
    await page.drop(page.frame.locator(".result"), "plain.png", encodePng({ width: 8, height: 8, data: new Uint8Array(192) }));
    await page.frame.getByRole("alert").filter({ hasText: "no generation parameters" }).waitFor();

    // Our own picture gives itself again.
    const [own] = writtenPictures(workspace);
    await page.drop(page.frame.locator(".result"), own!, readFileSync(join(workspace, "images", own!)));
    await until("its seed", async () => (await value("seed")) === seed);
    await page.generate.click();
    await page.pictures(2);
    // In the files: what is shown is scaled to the room that there is.
    const pictures = writtenPictures(workspace).map((name) => readPng(join(workspace, "images", name)));
    const [first, again] = await Promise.all(pictures);
    assert.deepEqual(again!.data, first!.data, "the same settings give the same picture");

    // A picture to start from, then the grid.
    await page.drop(page.frame.locator("[data-drop=source]"), own!, readFileSync(join(workspace, "images", own!)));
    await page.frame.locator(".source-picture img").waitFor();
    await page.type({ strength: "0.4", prompt: "penguin" });
    await page.generate.click();
    await page.pictures(3);
    const image = parseParameters(await readPngParameters(join(workspace, "images", writtenPictures(workspace).at(-1)!)));
    assert.equal(image.denoisingStrength, 0.4);
    await page.button("Remove the picture").click();

    await page.type({ prompt: "red apple <lora:ink:0.6>" });
    await page.field("isGrid").check();
    await page.type({ "x-option": "lora", "y-option": "cfg" });
    await until("the prompt's LoRA", async () => (await page.field("x-lora").locator("option").count()) === 2);
    await page.type({ "x-lora": join(workspace, "loras", "ink.safetensors"), "x-values": "0, 0.5, 1", "y-values": "2, 4" });
    await page.frame.getByText("3 × 2 = 6 pictures").waitFor();
    await checkAccessibility(page.frame, "the grid's fields");
    await page.generate.click();
    await page.preview.waitFor({ timeout: 60_000 });
    await workbench.screenshot("restore-2-grid-preview");
    await page.pictures(4);
    await workbench.screenshot("restore-3-grid");
    const grid = join(workspace, "images", writtenPictures(workspace).at(-1)!);
    const { width, height } = await readPng(grid);
    assert.ok(width > 3 * 128 && height > 2 * 128, `${width} × ${height}`);
    assert.equal(parseParameters(await readPngParameters(grid)).others.get("X Values"), "0, 0.5, 1");

    // The history by keys: the oldest picture, its settings, and the newest beside it.
    await page.thumbnails.first().focus();
    await keyboard.press("End");
    await keyboard.press("Enter");
    await until(
      "the oldest settings",
      async () => (await value("prompt")) === "red apple <lora:ink:0.6>" && !(await page.field("isGrid").isChecked()),
    );
    await page.button("Compare").click();
    await page.thumbnails.nth(1).click();
    const divider = page.frame.getByRole("slider", { name: "Divider" });
    await divider.fill("30");
    await workbench.screenshot("restore-4-compare");
    await checkAccessibility(page.frame, "the comparison");
    await keyboard.press("Escape");
    await divider.waitFor({ state: "detached" });

    await page.button("Delete").click();
    const dialog = workbench.page.locator(".monaco-dialog-box");
    await dialog.getByText("Move to Trash").last().click();
    const forGood = dialog.getByText("Delete Permanently");
    await until("the end of the picture", async () => {
      if (await forGood.count()) await forGood.last().click();
      return (await page.thumbnails.count()) === 3;
    });
    assert.equal(writtenPictures(workspace).length, 3);

    // Settings of another engine's picture take its engine, and neither engine the other's LoRAs.
    const stack = (lora: string, count: number): Promise<unknown> =>
      until(
        `${count} of ${lora} on the stack`,
        async () => (await page.frame.getByRole("slider", { name: `Scale of ${lora}` }).count()) === count,
      );
    await page.type({ prompt: "rocket" });
    await page.type({ engine: join(workspace, "engines", "zebra") });
    await page.button("Add LoRA").click();
    await workbench.check("Add to Stack", "ink.safetensors");
    await keyboard.press("Enter");
    await stack("ink", 1);
    await page.type({ engine: join(workspace, "engines", "emoji-xl") });
    await stack("ink", 0);
    const zebra = FOREIGN.replace("Model hash: 0000000000", `Model hash: ${ZEBRA.slice(0, 10)}`);
    await page.drop(page.frame.locator(".result"), "zebra.png", encodePng({ width: 8, height: 8, data: new Uint8Array(192) }, zebra));
    await until("its engine", async () => (await value("engine")).endsWith("zebra"));
    await stack("ink", 1);
    await page.button("Undo").click();
    await until("the engine before", async () => (await value("engine")).endsWith("emoji-xl"));
    await stack("ink", 0);
    // With LoRAs in its prompt they take the place of that engine's, which come back.
    const named = zebra.replace("crown", "crown <lora:opposite-hue:0.5>");
    await page.drop(page.frame.locator(".result"), "named.png", encodePng({ width: 8, height: 8, data: new Uint8Array(192) }, named));
    await page.frame.getByText("so the stack was emptied").first().waitFor();
    await stack("ink", 0);
    await page.button("Undo").click();
    await until("the engine before", async () => (await value("engine")).endsWith("emoji-xl"));
    await page.type({ engine: join(workspace, "engines", "zebra") });
    await stack("ink", 1);
  },
};
