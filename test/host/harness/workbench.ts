import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Browser, type Locator, type Page, chromium } from "playwright-core";

const CHROMIUM_ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** How long VS Code puts off drawing a tree that has just changed, and a little more. */
const REDRAW_MILLISECONDS = 600;

/** Moves of the mouse that a drag is made of. */
const DRAG_STEPS = 8;

/** How long menus, notifications and pickers take to fade in or out. */
const ANIMATION_MILLISECONDS = 400;

export interface WorkbenchOptions {
  readonly port: number;
  readonly workspace: string;
  /** The extension's folder, where it is to be loaded from its sources rather than from what is installed. */
  readonly extension?: string;
  /** The suite to run inside the extension host. */
  readonly suite?: string;
  readonly onLog?: (line: string) => void;
}

export function launchBrowser(executablePath: string): Promise<Browser> {
  return chromium.launch({ executablePath, args: CHROMIUM_ARGUMENTS });
}

/** A VS Code window, driven as a person does: keys, clicks, and what can be read on it. */
export class Workbench {
  readonly page: Page;
  /** The suite's exit code; settles in runs with a suite alone. */
  readonly exit: Promise<number>;
  readonly #screenshots: string;

  private constructor(page: Page, exit: Promise<number>, screenshots: string) {
    this.page = page;
    this.exit = exit;
    this.#screenshots = screenshots;
  }

  static async open(browser: Browser, options: WorkbenchOptions, screenshots: string): Promise<Workbench> {
    const context = await browser.newContext({ viewport: { width: 1360, height: 850 } });
    const page = await context.newPage();
    const exit = new Promise<number>((resolve) => void page.exposeFunction("codeAutomationExit", (code: number) => resolve(code)));
    await page.exposeFunction("codeAutomationLog", (_level: string, parts: readonly unknown[]) => options.onLog?.(parts.join(" ")));
    const remote = `vscode-remote://127.0.0.1:${options.port}`;
    const payload = [["skipWelcome", "true"]];
    if (options.extension) payload.push(["extensionDevelopmentPath", remote + options.extension]);
    if (options.suite) payload.push(["extensionTestsPath", remote + options.suite]);
    const query = new URLSearchParams({ folder: options.workspace, payload: JSON.stringify(payload) });
    await page.goto(`http://127.0.0.1:${options.port}/?${query.toString().replaceAll("+", "%20")}`, {
      waitUntil: "commit",
      timeout: 60_000,
    });
    await page.locator(".monaco-workbench").waitFor({ timeout: 120_000 });
    mkdirSync(screenshots, { recursive: true });
    return new Workbench(page, exit, screenshots);
  }

  async screenshot(name: string): Promise<void> {
    await this.page.waitForTimeout(ANIMATION_MILLISECONDS);
    await this.page.screenshot({ path: join(this.#screenshots, `${name}.png`) });
  }

  /** Runs a command from the palette by its full title. */
  async command(title: string): Promise<void> {
    await this.page.keyboard.press("F1");
    const input = this.quickInput();
    await input.waitFor();
    await input.fill(`>${title}`);
    await this.quickPickRow(title).first().click();
  }

  quickInput(): Locator {
    return this.page.locator(".quick-input-widget:visible input.input").first();
  }

  /** A row of the open quick pick that shows this text. */
  quickPickRow(text: string): Locator {
    return this.page.locator(".quick-input-widget:visible .quick-input-list .monaco-list-row").filter({ hasText: text });
  }

  /** Waits for the quick pick with this title and takes the row with this text. */
  async pick(title: string, row: string): Promise<void> {
    await this.page.locator(".quick-input-widget:visible .quick-input-title").filter({ hasText: title }).waitFor({ timeout: 30_000 });
    await this.quickPickRow(row).first().click({ timeout: 30_000 });
  }

  /** Checks a row of the quick pick with this title, which takes several. */
  async check(title: string, row: string): Promise<void> {
    await this.page.locator(".quick-input-widget:visible .quick-input-title").filter({ hasText: title }).waitFor({ timeout: 30_000 });
    await this.quickPickRow(row).first().click();
  }

  /** Waits for the input box that asks this, types, and presses Enter. */
  async type(question: string, text: string): Promise<void> {
    await this.page.locator(".quick-input-widget:visible .quick-input-message").filter({ hasText: question }).waitFor({ timeout: 30_000 });
    await this.quickInput().fill(text);
    await this.page.keyboard.press("Enter");
  }

  /** A notification that shows this text. */
  notification(text: string): Locator {
    return this.page.locator(".notifications-toasts .notification-list-item").filter({ hasText: text });
  }

  allNotifications(): Locator {
    return this.page.locator(".notifications-toasts .notification-list-item");
  }

  async clearNotifications(): Promise<void> {
    await this.command("Notifications: Clear All Notifications");
    await this.allNotifications().first().waitFor({ state: "detached" });
  }

  /** Waits until the image preview has drawn its picture. */
  async pictureShown(): Promise<void> {
    const frame = this.page.frameLocator("iframe.webview.ready").frameLocator("#active-frame");
    await frame.locator("img.main-image, .container.image img, body img").first().waitFor({ timeout: 30_000 });
  }

  treeRow(text: string): Locator {
    return this.page.locator(".pane-body .monaco-list-row").filter({ hasText: text });
  }

  /** The part of the side bar that shows the view with this title. */
  view(title: string): Locator {
    return this.page.locator(".pane").filter({ has: this.page.locator(`.pane-header[aria-label^="${title}"]`) });
  }

  /** The text of an empty view. */
  welcome(text: string): Locator {
    return this.page.locator(".welcome-view").filter({ hasText: text });
  }

  /** Opens the extension's views from the activity bar. */
  async openContainer(): Promise<void> {
    await this.page.locator('.activitybar [role="tab"][aria-label^="TensorRT"], .activitybar a[aria-label^="TensorRT"]').first().click();
  }

  /** Opens a row's context menu and takes the item with this text; by key, as menus ignore clicks while they open. */
  async contextMenu(row: Locator, item: string): Promise<void> {
    await this.untilRowsStand();
    await row.click({ button: "right" });
    const entry = this.page.locator(".monaco-menu .action-item").filter({ hasText: item });
    await entry.hover();
    // The menu follows the mouse a moment later.
    await entry.and(this.page.locator(".focused")).waitFor();
    await this.page.keyboard.press("Enter");
    await entry.waitFor({ state: "detached" });
  }

  /** Rows that have changed just now are drawn again for a while, and may move: VS Code passes over what the mouse does meanwhile. */
  async untilRowsStand(): Promise<void> {
    await this.page.waitForTimeout(REDRAW_MILLISECONDS);
  }

  /** Drags something onto something else by the mouse, a little at a time; `key` is held while it is dropped. */
  async drag(from: Locator, to: Locator, key?: "Shift"): Promise<void> {
    const { keyboard, mouse } = this.page;
    await this.untilRowsStand();
    await from.hover();
    await mouse.down();
    const { x, y, width, height } = (await to.boundingBox())!;
    await mouse.move(x + width / 2, y + height / 2, { steps: DRAG_STEPS });
    if (key) await keyboard.down(key);
    // Where a drop would go is drawn, and a key is seen, by the moves that follow.
    await mouse.move(x + width / 2 + 2, y + height / 2, { steps: DRAG_STEPS });
    await mouse.up();
    if (key) await keyboard.up(key);
  }

  /** An editor's tab with this name. */
  tab(name: string): Locator {
    return this.page.locator(".tabs-container .tab").filter({ hasText: name });
  }

  statusBarItem(text: string): Locator {
    return this.page.locator(".statusbar-item").filter({ hasText: text });
  }

  async close(): Promise<void> {
    await this.page.context().close();
  }
}
