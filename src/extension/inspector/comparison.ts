import { basename } from "node:path";
import * as vscode from "vscode";
import type { Comparison, CompareProtocol } from "../../webview/compare/protocol.ts";
import type { Jobs, Requests } from "../../worker/protocol.ts";
import type { Services } from "../commands/services.ts";
import { defined } from "../commands/arguments.ts";
import { VIEW_TYPES } from "../contributions.ts";
import { copyText, saveFile } from "../webviews/files.ts";
import { webviewHtml, webviewOptions } from "../webviews/html.ts";
import { type RequestHandlers, WebviewServer } from "../webviews/server.ts";
import { InspectionBases } from "./base.ts";
import type { InspectorPlaces } from "./editor.ts";
import { compareTexts } from "./compareTexts.ts";

/** Tabs that compare LoRAs, deltas and stacks; they come back with the window. */
export class ComparisonPanels implements vscode.WebviewPanelSerializer {
  readonly #places: InspectorPlaces;
  readonly #services: Services;

  constructor(services: Services, places: InspectorPlaces) {
    this.#services = services;
    this.#places = places;
  }

  register(): vscode.Disposable {
    return vscode.window.registerWebviewPanelSerializer(VIEW_TYPES.comparison, this);
  }

  show(comparison: Comparison): void {
    const title = titleOf(comparison);
    this.#adopt(vscode.window.createWebviewPanel(VIEW_TYPES.comparison, title, vscode.ViewColumn.Active), comparison);
  }

  /** @param state what the page kept (`CompareState`), perhaps of another version */
  deserializeWebviewPanel(panel: vscode.WebviewPanel, state: { readonly comparison?: unknown } | undefined): Promise<void> {
    const comparison = state?.comparison;
    if (isComparison(comparison)) this.#adopt(panel, comparison);
    else panel.dispose();
    return Promise.resolve();
  }

  #adopt(panel: vscode.WebviewPanel, comparison: Comparison): void {
    const { extensionUri, storageUri } = this.#places;
    panel.webview.options = webviewOptions(extensionUri);
    const session = new ComparisonSession(comparison, this.#services, vscode.Uri.joinPath(storageUri, "comparisons").fsPath);
    const server = new WebviewServer<CompareProtocol>(panel.webview, session.handlers());
    panel.onDidDispose(() => server.dispose());
    panel.webview.html = webviewHtml(panel.webview, extensionUri, {
      name: "compare",
      title: titleOf(comparison),
      data: { texts: compareTexts(), start: comparison },
    });
  }
}

/** What one tab compares. */
class ComparisonSession {
  readonly #services: Services;
  readonly #cache: string;
  #comparison: Comparison;
  /** Of the comparison that the page shows. */
  #compared: Omit<Requests["comparison/detail"]["params"], "layer"> | undefined;

  constructor(comparison: Comparison, services: Services, cache: string) {
    this.#comparison = comparison;
    this.#services = services;
    this.#cache = cache;
  }

  handlers(): RequestHandlers<CompareProtocol> {
    const { worker } = this.#services;
    return {
      compare: async (_, { cancellation, progress, cancelOthers }) => {
        cancelOthers();
        const target = { ...toOptions(this.#comparison), cache: this.#cache };
        const { result, state } = await worker.compare(target, ({ fraction }) => progress(fraction ?? 0), cancellation);
        this.#compared = { ...target, state };
        return result;
      },
      detail: ({ layer }, { cancellation }) => worker.request("comparison/detail", { ...this.#target, layer }, cancellation),
      tile: (place, { cancellation }) => worker.request("comparison/tile", { ...this.#target, ...place }, cancellation),
      chooseBase: async () => {
        const base = await new InspectionBases(this.#services).ask(this.#architecture());
        if (base === undefined) return null;
        return (this.#comparison = { ...this.#comparison, base });
      },
      swap: () => {
        const { a, b } = this.#comparison;
        return Promise.resolve((this.#comparison = { ...this.#comparison, a: b, b: a }));
      },
      copy: copyText,
      save: (file) => saveFile(vscode.Uri.file(this.#comparison.a[0]!.file), file),
    };
  }

  get #target() {
    if (!this.#compared) throw new Error("Nothing has been compared.");
    return this.#compared;
  }

  #architecture() {
    return this.#services.files.get(this.#comparison.a[0]!.file)?.summary.architecture;
  }
}

type LoraReference = Jobs["compare"]["options"]["a"][number];

function toOptions({ a, b, base }: Comparison): Jobs["compare"]["options"] {
  const references = (files: Comparison["a"]) => files.map((file) => defined(file) as LoraReference);
  return { a: references(a), b: references(b), ...(base !== undefined && { base }) };
}

function isComparison(value: unknown): value is Comparison {
  const { a, b, base } = (value ?? {}) as { readonly a?: unknown; readonly b?: unknown; readonly base?: unknown };
  const isSide = (side: unknown): side is Comparison["a"] =>
    Array.isArray(side) && side.every((each: Partial<Comparison["a"][number]> | null) => typeof each?.file === "string");
  return isSide(a) && a.length > 0 && isSide(b) && (base === undefined || typeof base === "string");
}

function titleOf({ a, b }: Comparison): string {
  const name = (files: Comparison["a"]) => files.map(({ file }) => basename(file)).join(" + ");
  return b.length === 0 ? vscode.l10n.t("Changes of {0}", name(a)) : `${name(a)} ↔ ${name(b)}`;
}
