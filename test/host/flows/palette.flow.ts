import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Flow } from "../harness/flow.ts";

export const flow: Flow = {
  name: "palette: export, delta, generate with the LoRA, the picture opens",
  settings: { "tensorrt.generate.cfg": 4 },
  async run({ workbench, workspace }) {
    await workbench.openContainer();
    await workbench.welcome("No engine was found").waitFor({ timeout: 60_000 });
    await workbench.treeRow("ink.safetensors").waitFor({ timeout: 60_000 });
    await workbench.screenshot("1-welcome");

    await workbench.command("TensorRT: Export Engine…");
    await workbench.quickPickRow("emoji-xl.safetensors").waitFor({ timeout: 30_000 });
    await workbench.screenshot("2-export-checkpoint");
    const first = await workbench.quickPickRow("").first().textContent();
    assert.match(first ?? "", /emoji-xl\.safetensors.*SDXL/, "the checkpoint is suggested first");
    await workbench.pick("Export Engine", "emoji-xl.safetensors");
    await workbench.pick("Export Engine", "As the checkpoint");
    await workbench.notification("The engine emoji-xl is ready").waitFor({ timeout: 120_000 });
    await workbench.treeRow("SDXL").first().waitFor();
    await workbench.screenshot("3-exported");
    assert.ok(existsSync(join(workspace, "engines", "emoji-xl", "engine.json")));
    await workbench.clearNotifications();

    await workbench.command("TensorRT: Export Delta…");
    await workbench.pick("Export Delta", "emoji-xl");
    await workbench.quickPickRow("ink.safetensors").waitFor();
    await workbench.screenshot("4-delta-lora");
    await workbench.pick("Export Delta", "ink.safetensors");
    await workbench.notification("192 weights").waitFor({ timeout: 60_000 });
    await workbench.treeRow("emoji-xl_ink_s1.00.trt_lora").waitFor();
    await workbench.screenshot("5-delta-made");
    await workbench.clearNotifications();

    await workbench.command("TensorRT: Generate Image…");
    await workbench.pick("Generate Image", "emoji-xl");
    await workbench.check("Generate Image", "emoji-xl_ink_s1.00.trt_lora");
    await workbench.screenshot("6-loras");
    await workbench.page.keyboard.press("Enter");
    await workbench.type("The scale of emoji-xl_ink", "0.9");
    await workbench.type("The prompt", "red apple");
    await workbench.tab(".png").waitFor({ timeout: 120_000 });
    await workbench.pictureShown();
    await workbench.screenshot("7-picture");
    const pictures = readdirSync(join(workspace, "images"));
    assert.equal(pictures.length, 1);

    await workbench.treeRow("SDXL").first().click();
    await workbench.page.keyboard.press("ArrowRight");
    await workbench.treeRow("text_encoder_2").waitFor();
    await workbench.screenshot("8-components");
  },
};
