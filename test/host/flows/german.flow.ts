import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Frame, Locator, Page } from "playwright-core";
import { webviewFrame } from "../harness/accessibility.ts";
import type { Flow } from "../harness/flow.ts";
import { GenerationPage } from "../harness/generation.ts";
import { until } from "../harness/processes.ts";
import { exportDemoEngine } from "../harness/workspace.ts";

type Texts = Readonly<Record<string, string>>;
const read = (name: string): Texts => JSON.parse(readFileSync(join(import.meta.dirname, "..", "..", "..", name), "utf8")) as Texts;
const german = read("l10n/bundle.l10n.de.json");
const [english, translated] = [read("package.nls.json"), read("package.nls.de.json")];

/** English texts of the extension that are others in German. */
const UNTRANSLATED = new Set([
  ...Object.keys(german).filter((text) => german[text] !== text),
  ...Object.keys(english).flatMap((key) => (english[key] === translated[key] ? [] : [english[key]!])),
]);

declare const document: unknown;
interface ElementLike {
  readonly textContent: string | null;
  readonly scrollWidth: number;
  readonly clientWidth: number;
  readonly childElementCount: number;
  getAttribute(name: string): string | null;
}

/** Runs in the page: its texts, and those of some elements that do not fit where they stand. */
function textsOfPage(fitting: string): { readonly texts: string[]; readonly cut: string[] } {
  const all = (selector: string): ElementLike[] =>
    Array.from((document as { querySelectorAll(selector: string): ArrayLike<ElementLike> }).querySelectorAll(selector));
  const elements = all("body *:not(script, style)");
  const leaves = elements.filter(({ childElementCount }) => childElementCount === 0);
  const own = leaves.map(({ textContent }) => textContent?.trim() ?? "");
  const attributes = ["aria-label", "title", "placeholder"];
  const named = elements.flatMap((element) => attributes.map((name) => element.getAttribute(name) ?? ""));
  const cut = all(fitting).filter(({ scrollWidth, clientWidth }) => clientWidth > 0 && scrollWidth > clientWidth + 1);
  return { texts: [...own, ...named], cut: cut.map(({ textContent }) => textContent?.trim() ?? "") };
}

async function expectGerman(page: Frame | Page, where: string, fitting = "button, label, legend, h1, h2, h3"): Promise<void> {
  const { texts, cut } = await page.evaluate(textsOfPage, fitting);
  assert.deepEqual(
    texts.filter((text) => UNTRANSLATED.has(text)),
    [],
    `English texts in ${where}`,
  );
  assert.deepEqual(cut, [], `texts that are cut off in ${where}`);
}

async function isShown(locator: Locator): Promise<void> {
  await locator.first().waitFor({ timeout: 60_000 });
}

export const flow: Flow = {
  name: "German: views, menus, palette, walkthrough, doctor and generation panel have no English text of ours",
  language: "de",
  prepare: exportDemoEngine,
  async run({ workbench }) {
    const { page } = workbench;
    await workbench.openContainer();
    await isShown(workbench.view("Stapel").getByText("Der Stapel enthält die LoRAs einer geladenen Engine."));
    await isShown(workbench.treeRow("Rang 8"));
    await workbench.treeRow("ink.safetensors").click({ button: "right" });
    await isShown(page.locator(".monaco-menu").getByText("Auf den Stapel legen …"));
    await workbench.screenshot("german-1-menu");
    await expectGerman(page, "the views", ".pane-header .title");
    await page.keyboard.press("Escape");

    await workbench.command("TensorRT: Engine laden");
    await workbench.pick("Engine laden", "emoji-xl");
    await isShown(workbench.treeRow("im Speicher"));
    await page.keyboard.press("F1");
    await workbench.quickInput().fill(">TensorRT: ");
    await isShown(workbench.quickPickRow("TensorRT: Auf den Stapel legen …"));
    await workbench.screenshot("german-2-palette");
    await page.keyboard.press("Escape");

    await workbench.command("TensorRT: Diagnose");
    const doctor = await webviewFrame(workbench, "doctor");
    await isShown(doctor.getByText("Engines laufen auf dem Prozessor, mit ONNX Runtime."));
    await workbench.screenshot("german-3-doctor");
    await expectGerman(doctor, "the doctor's page");

    await workbench.command("Welcome: Open Walkthrough...");
    await workbench.quickPickRow("Erste Schritte mit TensorRT Redux").first().click({ timeout: 30_000 });
    await isShown(page.locator(".getting-started-step").filter({ hasText: "LoRAs darauf stapeln" }));
    await workbench.screenshot("german-4-walkthrough");
    await expectGerman(page, "the walkthrough", ".getting-started-step .step-title");

    await workbench.command("TensorRT: Bilder erzeugen");
    const panel = await GenerationPage.shown(workbench);
    await isShown(panel.button("Erzeugen"));
    await panel.type({ prompt: "penguin", width: "130", steps: "200" });
    await panel.problem("width").filter({ hasText: "Es muss ein Vielfaches von 8 sein, etwa 128 oder 136." }).waitFor();
    await panel.field("isGrid").check();
    await workbench.screenshot("german-5-panel");
    await expectGerman(panel.frame, "the empty panel");
    await panel.field("isGrid").uncheck();
    await panel.type({ width: "64" });
    await panel.generate.click();
    await until("the progress", async () => /Sampling: Schritt \d+\/200/.test((await panel.frame.locator("body").textContent()) ?? ""));
    await panel.generate.click();
    await panel.frame.locator(".queue li").waitFor();
    await workbench.screenshot("german-6-progress");
    await expectGerman(panel.frame, "the panel at work");
    await panel.button("penguin aus der Warteschlange nehmen").click();
    await panel.pictures(1);
    await workbench.screenshot("german-7-picture");
    assert.match((await panel.frame.locator(".about").textContent()) ?? "", /Seed \d+ · euler normal · 200 Schritte · Guidance 7/);
    await expectGerman(panel.frame, "the panel with a picture");
  },
};
