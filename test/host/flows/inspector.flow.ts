import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Frame, Page } from "playwright-core";
import { checkAccessibility, webviewFrame } from "../harness/accessibility.ts";
import type { Flow } from "../harness/flow.ts";
import { until } from "../harness/processes.ts";

export const flow: Flow = {
  name: "inspector: a LoRA's map, table by keys, details, figures and metadata, in every theme",
  async run({ workbench, workspace, changeSettings }) {
    const { page } = workbench;
    await workbench.openContainer();
    await workbench.treeRow("rank 8").waitFor({ timeout: 60_000 });
    await workbench.contextMenu(workbench.treeRow("ink.safetensors"), "Inspect");
    const frame = await webviewFrame(workbench, "inspector");
    // The only model here is taken by itself.
    await frame.getByText("Measured against emoji-xl.safetensors, the only model here that fits").waitFor({ timeout: 60_000 });
    await frame.locator(".map-cell[aria-label^='OUT 5, proj out: 67.6 %']").waitFor({ timeout: 60_000 });
    await frame.getByRole("radio", { name: "Absolute" }).click();
    await frame.locator(".map-cell[aria-label^='IN 4, attn1 q: 2.291']").waitFor({ timeout: 60_000 });
    await frame.getByText("Choose Base…").click();
    await workbench.pick("Measure Against", "Nothing: the file alone");
    await frame.getByText("No base chosen").waitFor({ timeout: 60_000 });
    await frame.getByText("Choose Base…").click();
    await workbench.pick("Measure Against", "emoji-xl.safetensors");
    await frame.getByText("Measured against emoji-xl").waitFor({ timeout: 60_000 });
    await frame.getByRole("radio", { name: "Relative" }).click();
    await frame.locator(".map-cell[aria-label^='OUT 5, proj out: 67.6 %']").waitFor({ timeout: 60_000 });
    await workbench.screenshot("inspector-1-overview");
    await checkAccessibility(frame, "the overview");

    // From the map to the table, by keys alone.
    await frame.locator(".map-cell[tabindex='0']").first().focus();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("Enter");
    await frame.locator("#tab-layers[aria-selected=true]").waitFor();
    assert.match(await frame.locator(".grid-row").first().innerText(), /input_blocks\.4\.1.*attn1\.to_k/s);
    await page.keyboard.press("Escape");

    await frame.getByRole("searchbox").fill("");
    const grid = frame.getByRole("grid");
    await frame.locator("[role=grid][aria-rowcount='193']").waitFor();
    await grid.focus();
    for (const key of ["Control+Home", "ArrowUp", "End"]) await page.keyboard.press(key);
    assert.match(await activeText(frame), /NaN/);
    await page.keyboard.press("Home");
    await frame.locator("[role=columnheader]", { hasText: /^\s*Norm/ }).click();
    await frame.locator("[role=columnheader][aria-sort=descending]", { hasText: "Norm" }).waitFor();
    const norms = await frame
      .locator(".grid-row")
      .evaluateAll((rows) => rows.map((row) => Number((row as unknown as Row).children[7]!.textContent)));
    assert.ok(norms.length > 10);
    assert.deepEqual(
      norms,
      norms.toSorted((a, b) => b - a),
      "sorted by norm",
    );
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    await frame.locator(".table-head").getByRole("button", { name: "Copy as CSV" }).click();
    await frame.getByText("Copied.").waitFor({ timeout: 30_000 });
    const csv = (await clipboard(page)).split("\r\n");
    assert.match(csv[0]!, /^name,kind,shape,dtype,rank,effectiveRank,alpha,norm,relativeNorm,spectralNorm,/);
    assert.equal(csv.length, 192 + 2);
    await frame.locator(".table-head").getByRole("button", { name: "Copy as JSON" }).click();
    await until("the copy as JSON", async () => (await clipboard(page)).startsWith("["));
    const objects = JSON.parse(await clipboard(page)) as { readonly name: string; readonly norm: number }[];
    assert.equal(objects[0]!.name, csv[1]!.split(",")[0]);
    assert.ok(Math.abs(objects[0]!.norm - norms[0]!) < 1e-3);
    await grid.focus();
    for (const key of ["ArrowDown", "Home", "PageDown", "ArrowDown"]) await page.keyboard.press(key);
    const name = await activeText(frame);
    assert.notEqual(name, await frame.locator(".grid-row").first().locator("[role=gridcell]").first().innerText());
    await workbench.screenshot("inspector-2-table");
    await checkAccessibility(frame, "the table");

    await page.keyboard.press("Enter");
    await frame.locator("canvas[data-complete=true]").waitFor({ timeout: 60_000 });
    assert.ok((await frame.locator(".detail h2").innerText()).includes(name));
    for (const figure of ["redux-chart >> nth=0", "redux-chart >> nth=1", "redux-heat-map"])
      assert.ok(await isPainted(frame, figure), figure);
    await frame.locator(".detail").getByRole("button", { name: "Copy as CSV" }).click();
    await until("the copy of the detail", async () => (await clipboard(page)).startsWith("what,index,value\r\nsingular value,1,"));
    await frame.getByLabel("Logarithmic").check();
    await workbench.screenshot("inspector-3-detail");
    await checkAccessibility(frame, "the detail");
    await frame.locator("redux-heat-map canvas").focus();
    for (const key of ["+", "+", "ArrowRight"]) await page.keyboard.press(key);
    await frame.locator("canvas[data-complete=true]").waitFor();
    await frame.locator("redux-heat-map").hover();
    await frame.locator(".heat-map-readout", { hasText: /row \d+, column \d+: / }).waitFor();

    await frame
      .locator("section", { has: frame.locator("redux-heat-map") })
      .getByText("Save as PNG")
      .click();
    // The dialog proposes a name beside the LoRA.
    await workbench.quickInput().waitFor({ timeout: 30_000 });
    await page.keyboard.press("Enter");
    await frame.getByText("Saved.").waitFor({ timeout: 30_000 });
    const saved = readdirSync(join(workspace, "loras")).filter((file) => file.endsWith("-heat-map.png"));
    assert.equal(saved.length, 1);
    assert.equal(readFileSync(join(workspace, "loras", saved[0]!)).toString("latin1", 1, 4), "PNG");

    changeSettings({ "workbench.colorTheme": "Default Dark Modern" });
    await frame.locator("body.vscode-dark").waitFor();
    await workbench.screenshot("inspector-4-detail-dark");
    await frame.locator("#tab-overview").click();
    await workbench.screenshot("inspector-5-overview-dark");
    await checkAccessibility(frame, "the overview in the dark");
    changeSettings({ "workbench.colorTheme": "Default High Contrast" });
    await frame.locator("body.vscode-high-contrast").waitFor();
    await workbench.screenshot("inspector-6-overview-contrast");
    await checkAccessibility(frame, "the overview in high contrast");
    await frame.locator("#tab-overview").press("End");
    await frame.getByText("emoji_lora_A").first().waitFor();
    await workbench.screenshot("inspector-7-metadata-contrast");
    await checkAccessibility(frame, "the metadata");
  },
};

interface Row {
  readonly children: ArrayLike<{ readonly textContent: string }>;
}

function activeText(frame: Frame): Promise<string> {
  return frame.locator(".grid-cell.active").innerText();
}

function clipboard(page: Page): Promise<string> {
  return page.evaluate(() => (globalThis.navigator as unknown as { clipboard: { readText(): Promise<string> } }).clipboard.readText());
}

/** Whether a figure's canvas has more than one colour. */
function isPainted(frame: Frame, figure: string): Promise<boolean> {
  return frame.locator(`${figure} >> canvas`).evaluate((element) => {
    const canvas = element as unknown as Canvas;
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return new Set(new Uint32Array(data.buffer)).size > 8;
  });
}

interface Canvas {
  readonly width: number;
  readonly height: number;
  getContext(kind: "2d"): {
    getImageData(x: number, y: number, width: number, height: number): { readonly data: Uint8ClampedArray<ArrayBuffer> };
  };
}
