import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Frame, Locator } from "playwright-core";
import { decodePng } from "../../../src/formats/png.ts";
import { webviewFrame } from "./accessibility.ts";
import { until } from "./processes.ts";
import type { Workbench } from "./workbench.ts";

/** The pictures in the workspace's folder for them, oldest first. */
export function writtenPictures(workspace: string): string[] {
  const folder = join(workspace, "images");
  return existsSync(folder) ? readdirSync(folder).toSorted() : [];
}

/** What is to be seen of a picture. */
export interface Look {
  /** Of the levels of all pixels: nothing but one colour has none. */
  readonly deviation: number;
  readonly pixels: Uint8Array;
}

/** The generation panel's page, as a person sees and uses it. */
export class GenerationPage {
  readonly frame: Frame;

  constructor(frame: Frame) {
    this.frame = frame;
  }

  /** Opens the panel from the palette, once the engine was found. */
  static async open(workbench: Workbench): Promise<GenerationPage> {
    await workbench.openContainer();
    await workbench.treeRow("emoji-xl").first().waitFor({ timeout: 60_000 });
    await workbench.command("TensorRT: Open Generation Panel");
    return GenerationPage.shown(workbench);
  }

  /** The panel that is open already. */
  static async shown(workbench: Workbench): Promise<GenerationPage> {
    const page = new GenerationPage(await webviewFrame(workbench, "generation"));
    await until("the page", () => page.field("engine").count(), 60_000);
    return page;
  }

  field(name: string): Locator {
    return this.frame.locator(`[name="${name}"]`).first();
  }

  async type(values: Readonly<Record<string, string>>): Promise<void> {
    for (const [name, value] of Object.entries(values)) {
      const field = this.field(name);
      const isList = await field.evaluate((element) => (element as { tagName: string }).tagName === "SELECT");
      await (isList ? field.selectOption(value) : field.fill(value));
    }
  }

  /** Another seed for each picture ("random"), the same ("keep"), or one more each time ("next"). */
  async seedMode(mode: "random" | "keep" | "next"): Promise<void> {
    await this.frame.locator(`input[name="seedMode"][value="${mode}"]`).check({ force: true });
  }

  button(text: string): Locator {
    return this.frame.getByRole("button", { name: text });
  }

  get generate(): Locator {
    return this.field("generate");
  }

  get preview(): Locator {
    return this.frame.locator(".canvas .preview");
  }

  get picture(): Locator {
    return this.frame.locator(".canvas > img:not(.preview)");
  }

  get thumbnails(): Locator {
    return this.frame.locator(".thumbnail");
  }

  problem(field: string): Locator {
    return this.frame.locator(`#problem-${field}`);
  }

  /** Waits until the history has as many pictures and nothing is being made. */
  async pictures(count: number): Promise<void> {
    await until(`${count} pictures`, async () => (await this.thumbnails.count()) === count, 120_000);
    await this.picture.waitFor({ timeout: 60_000 });
  }

  /** What is drawn where a picture is. */
  async look(picture: Locator = this.picture): Promise<Look> {
    const { data } = decodePng("the screenshot", await picture.screenshot());
    const mean = data.reduce((sum, level) => sum + level, 0) / data.length;
    const deviation = Math.sqrt(data.reduce((sum, level) => sum + (level - mean) ** 2, 0) / data.length);
    return { deviation, pixels: data };
  }

  /** Drops a file on an element. What comes before, VS Code itself follows, to keep the mouse for the drag: it is left out. */
  async drop(target: Locator, name: string, bytes: Uint8Array): Promise<void> {
    await target.evaluate(dropFile, { name, bytes: [...bytes] });
  }
}

declare const DataTransfer: new () => { readonly items: { add(file: unknown): void } };
declare const File: new (parts: readonly unknown[], name: string, options: object) => unknown;
declare const DragEvent: new (type: string, options: object) => unknown;

/** Runs in the page. */
function dropFile(target: unknown, { name, bytes }: { name: string; bytes: number[] }): void {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([new Uint8Array(bytes)], name, { type: "image/png" }));
  const drop = new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer });
  (target as { dispatchEvent(event: unknown): void }).dispatchEvent(drop);
}
