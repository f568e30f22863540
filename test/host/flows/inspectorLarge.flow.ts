import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Frame } from "playwright-core";
import { webviewFrame } from "../harness/accessibility.ts";
import type { Flow } from "../harness/flow.ts";
import { findWorkers, until } from "../harness/processes.ts";
import { loraTensors, writeSafetensorsFile } from "../harness/safetensors.ts";

const LAYERS = 10_000;

export const flow: Flow = {
  name: "inspector: 10,000 layers scroll, and a page loaded again in the middle of its work goes on",
  prepare(workspace) {
    const modules = Array.from(
      { length: LAYERS },
      (_, index) => `lora_unet_input_blocks_${index % 12}_1_transformer_blocks_${index}_attn1_to_q`,
    );
    writeSafetensorsFile(join(workspace, "loras", "large.safetensors"), loraTensors(modules));
  },
  async run({ workbench, server }) {
    await workbench.openContainer();
    await workbench.treeRow("rank 8").waitFor({ timeout: 60_000 });
    const start = Date.now();
    await workbench.contextMenu(workbench.treeRow("large.safetensors"), "Inspect");
    const frame = await webviewFrame(workbench, "inspector");
    await frame.locator(".map-cell").first().waitFor({ timeout: 60_000 });
    console.log(`    first paint ${Date.now() - start} ms after the menu was opened`);
    await frame.locator("#tab-layers").click();
    await frame.getByRole("searchbox").fill("blocks_11_1");
    await frame.locator(".grid-row").first().waitFor();
    await workbench.command("Developer: Reload Webviews");
    await until("the old page to go", () => frame.isDetached());
    const again = await webviewFrame(workbench, "inspector");
    // What was shown is shown again, and the numbers go on to come.
    await again.locator("#tab-layers[aria-selected=true]").waitFor({ timeout: 60_000 });
    assert.equal(await again.getByRole("searchbox").inputValue(), "blocks_11_1");
    await again.getByRole("searchbox").fill("");
    await again.locator(".progress button", { hasText: "Stop" }).click();
    await again.locator(".progress", { hasText: /Stopped at \d+ of 10000/ }).waitFor();
    await again.locator(".progress button", { hasText: "Go on" }).click();
    await again.locator(".progress button", { hasText: "Stop" }).waitFor({ state: "detached", timeout: 240_000 });
    const grid = again.getByRole("grid");
    assert.equal(await grid.getAttribute("aria-rowcount"), String(LAYERS + 1));
    assert.ok((await again.locator(".grid-row").count()) < 100, "only rows that are seen are in the document");
    const idle = mean(await frameTimes(again, false));
    const frames = await frameTimes(again, true);
    const slow = frames.toSorted((a, b) => a - b)[Math.floor(frames.length * 0.95)]!;
    console.log(
      `    ${frames.length} frames: mean ${mean(frames).toFixed(1)} ms, 95 % within ${slow.toFixed(1)} ms; at rest ${idle.toFixed(1)} ms`,
    );
    // A machine that is busy is slow at rest too.
    assert.ok(mean(frames) < 8 * Math.max(16.7, idle), "frames while scrolling");
    await checkRows(again, "after jumps");
    // Steps to both sides, within what is drawn and beyond it.
    for (const step of [30, 90, -40, 700, -700, -1_000, 24, -24, -5_000]) {
      await again
        .locator(".grid-viewport")
        .evaluate((element, by) => ((element as unknown as { scrollTop: number }).scrollTop += by), step);
      await workbench.page.waitForTimeout(60);
      await checkRows(again, `after a step of ${step}`);
    }
    await again.getByRole("searchbox").fill("blocks_3_1");
    await again.locator("[role=columnheader]", { hasText: "Layer" }).click();
    // They are drawn with the next frame.
    await until("the rows are those of the filter", async () => {
      const filtered = await shownRows(again);
      return filtered.length > 10 && filtered.every(({ name }) => /_3_1_/.test(name));
    });
    await again.getByRole("searchbox").fill("");
    await again.locator("[role=columnheader]", { hasText: "Layer" }).click();
    await again.locator("[role=columnheader]", { hasText: "Layer" }).click();
    await grid.focus();
    await workbench.page.keyboard.press("Control+End");
    const last = again.locator(`[aria-rowindex='${LAYERS + 1}']`);
    await last.waitFor();
    assert.doesNotMatch(await last.innerText(), /—\s*—/, "its numbers are there");
    await workbench.screenshot("inspector-large");
    for (const { id } of findWorkers(server)) console.log(`    worker ${memory(id)} MB`);
  },
};

interface ShownRow {
  readonly place: number;
  readonly name: string;
  readonly top: number;
}

/** The rows in the document, in its order, without the active one while it is out of view. */
function shownRows(frame: Frame): Promise<ShownRow[]> {
  return frame.locator(".grid-row:not(.away)").evaluateAll((rows) =>
    (rows as unknown as RowElement[]).map((row) => ({
      place: Number(row.getAttribute("aria-rowindex")) - 2,
      name: row.children[0]!.textContent,
      top: row.getBoundingClientRect().top,
    })),
  );
}

interface RowElement {
  readonly children: ArrayLike<{ readonly textContent: string }>;
  getAttribute(name: string): string | null;
  getBoundingClientRect(): { readonly top: number };
}

/** Fails where a row is not where its number says, in the document's order and on the screen, or shows another layer. */
async function checkRows(frame: Frame, when: string): Promise<void> {
  const rows = await shownRows(frame);
  const [first] = rows;
  assert.ok(first && rows.length > 20, when);
  for (const [index, { place, name, top }] of rows.entries()) {
    assert.equal(place, first.place + index, when);
    assert.match(name, new RegExp(`_${place}_attn1_to_q$`), when);
    assert.equal(Math.round(top - first.top), index * 24, when);
  }
}

/** Milliseconds between frames, at rest or while the grid is scrolled from its beginning to its end. */
function frameTimes(frame: Frame, isScrolled: boolean): Promise<number[]> {
  return frame.locator(".grid-viewport").evaluate(
    (element, scrolled) =>
      new Promise<number[]>((resolve) => {
        const viewport = element as unknown as { scrollTop: number; readonly scrollHeight: number };
        const window = globalThis as unknown as { requestAnimationFrame(next: (time: number) => void): void };
        const times: number[] = [];
        const step = (time: number): void => {
          times.push(time);
          if (scrolled) viewport.scrollTop += viewport.scrollHeight / 120;
          if (times.length < 120) window.requestAnimationFrame(step);
          else resolve(times.slice(1).map((each, index) => each - times[index]!));
        };
        window.requestAnimationFrame(step);
      }),
    isScrolled,
  );
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function memory(id: number): number {
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${id}/status`, "utf8"))?.[1]) / 1000);
}
