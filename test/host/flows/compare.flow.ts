import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { checkAccessibility, webviewFrame } from "../harness/accessibility.ts";
import type { Flow } from "../harness/flow.ts";
import { until } from "../harness/processes.ts";

export const flow: Flow = {
  name: "compare: two LoRAs side by side, one at two strengths",
  async run({ workbench, workspace }) {
    await workbench.openContainer();
    await workbench.treeRow("rank 8").waitFor({ timeout: 60_000 });
    await workbench.contextMenu(workbench.treeRow("ink.safetensors"), "Compare");
    await workbench.pick("Compare", "opposite-hue.safetensors");
    const frame = await webviewFrame(workbench, "compare");
    await frame.locator(".map-cell").first().waitFor({ timeout: 60_000 });
    assert.match(await frame.locator(".facts").innerText(), /In both\s+192\s+Only in A\s+0\s+Only in B\s+78/);
    await workbench.screenshot("compare-1-difference");
    await checkAccessibility(frame, "the comparison's overview");

    await frame.getByRole("radio", { name: "Cosine" }).click();
    await frame.getByText("1 is the same direction").waitFor();
    await frame.getByText("Choose Base…").click();
    await workbench.pick("Measure Against", "emoji-xl.safetensors");
    await frame.getByText("Measured against emoji-xl").waitFor({ timeout: 60_000 });
    await frame.getByRole("radio", { name: "Overlap" }).click();
    await workbench.screenshot("compare-2-overlap");

    await frame.locator(".map-cell").first().click();
    await frame.locator("#tab-layers[aria-selected=true]").waitFor();
    const row = frame.locator(".grid-row").first();
    assert.match(await row.innerText(), /input_blocks\.4\.1.*attn1\.to_q/s);
    await frame.getByRole("searchbox").fill("cosine>0.1");
    await frame.locator("[role=columnheader]", { hasText: "Cosine" }).click();
    const cosines = await frame
      .locator(".grid-row")
      .evaluateAll((rows) =>
        rows.map((each) => Number((each as { children: ArrayLike<{ textContent: string }> }).children[8]!.textContent)),
      );
    assert.ok(cosines.length > 1 && cosines.every((value) => value > 0.1));
    assert.deepEqual(
      cosines,
      cosines.toSorted((a, b) => b - a),
    );
    await workbench.screenshot("compare-3-table");
    await checkAccessibility(frame, "the comparison's table");

    // A layer: both sides' numbers and curves, and the difference as a picture.
    await frame.locator(".grid-row").first().click();
    const detail = frame.locator(".detail");
    await detail.locator("canvas[data-complete=true]").waitFor({ timeout: 60_000 });
    assert.equal(await detail.locator("dd", { hasText: String(cosines[0]) }).count(), 1, "the row's cosine");
    assert.match(await detail.locator("redux-chart").innerText(), /A\s*—\s*B\s*—\s*B − A/);
    await workbench.screenshot("compare-4-detail");
    await checkAccessibility(frame, "the comparison's detail");
    await detail.getByRole("button", { name: "Save as SVG" }).first().click();
    await workbench.quickInput().waitFor({ timeout: 30_000 });
    await workbench.page.keyboard.press("Enter");
    await frame.getByText("Saved.").waitFor({ timeout: 30_000 });
    const saved = readdirSync(join(workspace, "loras")).filter((file) => file.endsWith("-spectrum.svg"));
    assert.match(readFileSync(join(workspace, "loras", saved[0]!), "utf8"), /^<svg .*<polyline [^>]*stroke-dasharray.*>B − A</s);

    // Loaded again, the page compares from what was kept, and shows what it showed.
    await workbench.command("Developer: Reload Webviews");
    await until("the old page to go", () => frame.isDetached());
    const again = await webviewFrame(workbench, "compare");
    await again.locator(".detail canvas[data-complete=true]").waitFor({ timeout: 60_000 });
    await again.locator(".detail h2").focus();
    await workbench.page.keyboard.press("Escape");
    await again.locator(".detail").waitFor({ state: "detached" });

    await workbench.contextMenu(workbench.treeRow("ink.safetensors"), "Compare");
    await workbench.pick("Compare", "ink.safetensors");
    await workbench.type("The scale of ink", "0.5");
    const second = await webviewFrame(workbench, "compare");
    await second.getByText("ink.safetensors × 0.5").waitFor({ timeout: 60_000 });
    assert.match(await second.locator(".facts").innerText(), /Cosine\s+1\.0000\s+‖B‖ \/ ‖A‖\s+0\.5000/);
  },
};
