import assert from "node:assert/strict";
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { webviewFrame } from "../harness/accessibility.ts";
import type { Flow } from "../harness/flow.ts";
import { loraTensors, writeSafetensorsFile } from "../harness/safetensors.ts";

const MARKUP = `<img src=x onerror="window.hacked=1"><script>window.hacked=2</script></script><h1>not a title</h1>`;

/** Runs in the page: puts markup and a script into it, as a careless page would; gives what they have set after a while. */
async function runMarkup(markup: string): Promise<number | undefined> {
  interface ElementLike {
    innerHTML: string;
    textContent: string;
    append(child: ElementLike): void;
  }
  const page = globalThis as unknown as { hacked?: number; document: { body: ElementLike; createElement(name: string): ElementLike } };
  const [holder, script] = [page.document.createElement("div"), page.document.createElement("script")];
  holder.innerHTML = markup;
  script.textContent = "window.hacked = 3";
  holder.append(script);
  page.document.body.append(holder);
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  return page.hacked;
}

/** A delta of version 1: whole weights, whose change takes the base's. */
const WEIGHTS = { "model.diffusion_model.middle_block.1.proj_in.weight": { shape: [8, 8], values: new Float32Array(64).fill(0.5) } };

export const flow: Flow = {
  name: "inspector: hostile metadata stay text, broken files and NaN are said",
  prepare(workspace) {
    const place = (name: string) => join(workspace, "loras", name);
    const name = `lora_unet_${MARKUP}`;
    writeSafetensorsFile(place("hostile.safetensors"), loraTensors([name]), {
      ss_output_name: MARKUP,
      "modelspec.trigger_phrase": MARKUP,
      ss_tag_frequency: JSON.stringify({ [MARKUP]: { [MARKUP]: 7 } }),
      [MARKUP]: "key",
    });
    const tensors = loraTensors(["lora_unet_input_blocks_4_1_proj_in", "lora_unet_input_blocks_5_1_proj_in"]);
    tensors["lora_unet_input_blocks_4_1_proj_in.lora_up.weight"]!.values.set([NaN, Infinity]);
    writeSafetensorsFile(place("bad.safetensors"), tensors);
    writeSafetensorsFile(place("cut[1].trt_lora"), WEIGHTS);
    truncateSync(place("cut[1].trt_lora"), 200);
  },
  async run({ workbench, workspace }) {
    const open = async (name: string) => {
      await workbench.contextMenu(workbench.treeRow(name), "Inspect");
      return webviewFrame(workbench, "inspector");
    };
    await workbench.openContainer();
    await workbench.treeRow("rank 8").waitFor({ timeout: 60_000 });
    const hostile = await open("hostile.safetensors");
    await hostile.locator(".map-cell").first().waitFor({ timeout: 60_000 });
    await hostile.getByText(MARKUP).first().waitFor();
    await hostile.locator("#tab-metadata").click();
    await hostile.locator(".tags").getByText(MARKUP).waitFor();
    await workbench.screenshot("inspector-hostile");
    const found = await hostile.evaluate(() => {
      const page = globalThis as unknown as { hacked?: number; document: { querySelectorAll(selector: string): ArrayLike<unknown> } };
      return [page.hacked, page.document.querySelectorAll("#app img, #app script, #app h1:not(.page-title h1)").length];
    });
    assert.deepEqual(found, [undefined, 0], "nothing of the metadata is markup");
    const policy = await hostile.locator("meta[http-equiv='Content-Security-Policy']").getAttribute("content");
    assert.match(policy ?? "", /^default-src 'none'; script-src 'nonce-[^']{20,}';/);
    assert.equal(await hostile.evaluate(runMarkup, MARKUP), undefined, "markup that got into the page would not run");

    await workbench.command("View: Close All Editors");
    const bad = await open("bad.safetensors");
    await bad.getByText("Layers with NaN or infinite values: 1").waitFor({ timeout: 60_000 });
    await bad.locator("#tab-layers").click();
    await bad.locator(".grid-row").first().click();
    await bad.getByText("It has 1 NaN and 1 infinite values.").waitFor({ timeout: 30_000 });
    await workbench.screenshot("inspector-nan");

    await workbench.command("View: Close All Editors");
    // Deltas open in the inspector without being told to.
    await workbench.page.keyboard.press("Control+p");
    await workbench.quickInput().fill("cut[1].trt_lora");
    await workbench.quickPickRow("cut[1].trt_lora").first().click();
    const cut = await webviewFrame(workbench, "inspector");
    await cut.getByText("cut[1].trt_lora cannot be shown").waitFor({ timeout: 60_000 });
    await cut.getByText("is cut off").waitFor();
    await workbench.screenshot("inspector-truncated");
    // The file is made whole: the inspector sees it by itself.
    writeSafetensorsFile(join(workspace, "loras", "cut[1].trt_lora"), WEIGHTS);
    await cut.locator(".map-cell").first().waitFor({ timeout: 60_000 });
    await cut.getByText("Choose the base to see it").waitFor({ timeout: 30_000 });
    writeFileSync(join(workspace, "loras", "cut[1].trt_lora"), "");
    await cut.getByText("is empty").waitFor({ timeout: 60_000 });
  },
};
