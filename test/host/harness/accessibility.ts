import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import assert from "node:assert/strict";
import type { ElementHandle, Frame } from "playwright-core";
import type { Workbench } from "./workbench.ts";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

interface Violation {
  readonly id: string;
  readonly impact: string;
  readonly help: string;
  readonly nodes: readonly { readonly target: readonly unknown[]; readonly failureSummary?: string }[];
}

declare const window: {
  readonly axe: { run(context: unknown, options: object): Promise<{ readonly violations: readonly Violation[] }> };
};
declare const document: unknown;

/** The document of the webview that is shown: the frame within the frame that VS Code keeps it in. */
export async function webviewFrame(workbench: Workbench, name: string): Promise<Frame> {
  const outer = workbench.page.locator("iframe.webview.ready");
  await outer.first().waitFor({ timeout: 60_000 });
  for (let attempt = 0; attempt < 120; attempt++) {
    for (const handle of await outer.elementHandles()) {
      const frame = await innerFrame(handle);
      const sources = (await frame?.evaluate(scriptsOf).catch(() => [])) ?? [];
      if (frame && sources.some((source) => source.endsWith(`/${name}.js`))) return frame;
    }
    await workbench.page.waitForTimeout(250);
  }
  throw new Error(`No webview "${name}" is shown.`);
}

/** The page inside of a webview's own; none where another editor takes the webview's place meanwhile. */
async function innerFrame(webview: ElementHandle): Promise<Frame | undefined> {
  try {
    const inner = await (await webview.contentFrame())?.$("#active-frame");
    return (await inner?.contentFrame()) ?? undefined;
  } catch {
    return undefined;
  }
}

/** Runs in the page. VS Code puts a script of its own before the page's. */
function scriptsOf(): string[] {
  return Array.from((document as { scripts: ArrayLike<{ src: string }> }).scripts, ({ src }) => src);
}

/** Fails where axe-core has a serious or critical finding in a frame. */
export async function checkAccessibility(frame: Frame, where: string): Promise<void> {
  // Evaluated from outside of the page, which its content security policy lets through.
  await frame.evaluate(axe);
  const violations = await frame.evaluate(async () => {
    const found = await window.axe.run(document, { resultTypes: ["violations"] });
    return found.violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  });
  const lines = violations.map(
    ({ id, impact, help, nodes }) =>
      `${id} (${impact}): ${help}\n${nodes.map((node) => `    ${node.target.join(" ")}: ${node.failureSummary ?? ""}`).join("\n")}`,
  );
  assert.deepEqual(lines, [], `accessibility of ${where}`);
}
