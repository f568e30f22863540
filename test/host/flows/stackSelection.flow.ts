import type { Flow } from "../harness/flow.ts";
import { loadEngine, untilEmptyStack, untilRows } from "../harness/stack.ts";
import type { Workbench } from "../harness/workbench.ts";
import { exportDemoEngine } from "../harness/workspace.ts";

/** What the measurement uses of the page, whose types tests in Node do not have. */
interface PageWindow {
  readonly document: { querySelectorAll(selector: string): ArrayLike<{ readonly textContent: string }> };
  addEventListener(type: "keydown", listener: () => void, options: object): void;
  requestAnimationFrame(next: () => void): void;
}

/** Milliseconds from a key to the frame that draws a row with this text. */
async function untilDrawn({ page }: Workbench, key: string, text: string): Promise<number> {
  // Listens before the key comes.
  const watch = await page.evaluateHandle((expected) => {
    const window = globalThis as unknown as PageWindow;
    const end = performance.now() + 20_000;
    const drawn = new Promise<number>((resolve, reject) => {
      let start: number | undefined;
      window.addEventListener("keydown", () => (start = performance.now()), { capture: true, once: true });
      const look = (): void => {
        const rows = Array.from(window.document.querySelectorAll(".pane-body .monaco-list-row"));
        if (start !== undefined && rows.some(({ textContent }) => textContent.includes(expected))) resolve(performance.now() - start);
        else if (performance.now() > end) reject(new Error(`No row shows "${expected}".`));
        else window.requestAnimationFrame(look);
      };
      look();
    });
    return { drawn };
  }, text);
  await page.keyboard.press(key);
  return watch.evaluate(({ drawn }) => drawn);
}

export const flow: Flow = {
  name: "stack selection: keys and boxes act on every selected row, in one change of the engine",
  prepare: exportDemoEngine,
  async run({ workbench }) {
    const { page } = workbench;
    await workbench.openContainer();
    await loadEngine(workbench);
    await workbench.command("TensorRT: Add to Stack…");
    await workbench.check("Add to Stack", "ink.safetensors");
    await workbench.check("Add to Stack", "opposite-hue.safetensors");
    await page.keyboard.press("Enter");
    await untilRows(workbench, [/× 1\.00 · \d+ weights/, /× 1\.00 · \d+ weights/]);

    await workbench.command("TensorRT: Focus on Stack View");
    await page.keyboard.press("Control+a");
    await page.keyboard.press("=");
    await untilRows(workbench, [/× 1\.05 · \d+ weights/, /× 1\.05 · \d+ weights/]);
    // Keys that are held down come while the rows are drawn again: each of them counts.
    for (let step = 0; step < 30; step++) {
      await page.keyboard.press(step % 2 === 0 ? "-" : "NumpadSubtract");
      await page.waitForTimeout(20);
    }
    await untilRows(workbench, [/× -0\.45/, /× -0\.45/]);
    for (let step = 0; step < 28; step++) await page.keyboard.press("=");
    await untilRows(workbench, [/× 0\.95/, /× 0\.95/]);
    await page.keyboard.press("Space");
    await untilRows(workbench, [/× 0\.95 · off/, /× 0\.95 · off/]);
    const boxes = workbench.view("Stack").locator(".monaco-list-row .monaco-checkbox");
    await workbench.untilRowsStand();
    await boxes.first().click();
    await untilRows(workbench, [/× 0\.95 · \d+ weights/, /× 0\.95 · \d+ weights/]);
    await workbench.screenshot("stack-selection");

    // The click has left the focus on the box.
    await workbench.command("TensorRT: Focus on Stack View");
    const times: number[] = [];
    for (let step = 1; step <= 10; step++) {
      times.push(await untilDrawn(workbench, "=", `× ${(0.95 + step * 0.05).toFixed(2)}`));
      // What the last step has made is drawn by then.
      await page.waitForTimeout(500);
    }
    times.sort((a, b) => a - b);
    console.log(`    a key to the view's new number: median ${Math.round(times[5]!)} ms, longest ${Math.round(times.at(-1)!)} ms`);

    await page.keyboard.press("Delete");
    await untilEmptyStack(workbench);
  },
};
