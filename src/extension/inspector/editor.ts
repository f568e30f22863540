import { existsSync } from "node:fs";
import { basename } from "node:path";
import * as vscode from "vscode";
import type { InspectionHeader } from "../../jobs/inspection/types.ts";
import type { InspectedFile, InspectorProtocol } from "../../webview/inspector/protocol.ts";
import type { Services } from "../commands/services.ts";
import { VIEW_TYPES } from "../contributions.ts";
import { copyText, saveFile } from "../webviews/files.ts";
import { webviewHtml, webviewOptions } from "../webviews/html.ts";
import { type RequestHandlers, WebviewServer } from "../webviews/server.ts";
import { type FoundBase, InspectionBases } from "./base.ts";
import { inspectorTexts } from "./texts.ts";

/** How long a file is left alone after it changed: it may still be written. */
const QUIET_MILLISECONDS = 500;

export interface InspectorPlaces {
  readonly extensionUri: vscode.Uri;
  /** Where statistics are kept; those of one machine are as good for every workspace. */
  readonly storageUri: vscode.Uri;
}

/** The read-only editor of LoRAs, deltas and other safetensors files. The file is read in the worker, never as a whole. */
export class InspectorEditor implements vscode.CustomReadonlyEditorProvider {
  readonly #places: InspectorPlaces;
  readonly #services: Services;
  readonly #bases: InspectionBases;

  constructor(services: Services, places: InspectorPlaces) {
    this.#services = services;
    this.#places = places;
    this.#bases = new InspectionBases(services);
  }

  register(): vscode.Disposable {
    return vscode.window.registerCustomEditorProvider(VIEW_TYPES.inspector, this, { supportsMultipleEditorsPerDocument: true });
  }

  openCustomDocument(uri: vscode.Uri): vscode.CustomDocument {
    return { uri, dispose: () => {} };
  }

  resolveCustomEditor({ uri }: vscode.CustomDocument, panel: vscode.WebviewPanel): void {
    const { extensionUri, storageUri } = this.#places;
    const fileName = basename(uri.path);
    panel.webview.options = webviewOptions(extensionUri);
    const session = new InspectorSession(uri, this.#services, this.#bases, vscode.Uri.joinPath(storageUri, "inspections").fsPath);
    const server = new WebviewServer<InspectorProtocol>(
      panel.webview,
      session.handlers(() => server.send("changed", null)),
    );
    const watcher = watch(uri, () => {
      session.forget();
      server.send("changed", null);
    });
    panel.onDidDispose(() => {
      server.dispose();
      watcher.dispose();
    });
    session.begin();
    panel.webview.html = webviewHtml(panel.webview, extensionUri, {
      name: "inspector",
      title: fileName,
      data: { texts: inspectorTexts(), start: { fileName } },
    });
  }
}

/** What one editor knows: its file, and the base that it is measured against. */
class InspectorSession {
  readonly #uri: vscode.Uri;
  readonly #services: Services;
  readonly #bases: InspectionBases;
  readonly #cache: string;
  #header: InspectionHeader | undefined;
  #base: FoundBase | undefined;
  /** Begun before the page asks. */
  #first: Promise<InspectedFile> | undefined;

  constructor(uri: vscode.Uri, services: Services, bases: InspectionBases, cache: string) {
    this.#uri = uri;
    this.#services = services;
    this.#bases = bases;
    this.#cache = cache;
  }

  /** Reads the header while the page is made: the two take as long. */
  begin(): void {
    this.#first = this.#read();
    // What is wrong is told when the page asks.
    this.#first.catch(() => {});
  }

  /** What was read before the page asked is of a file that is another now. */
  forget(): void {
    this.#first = undefined;
  }

  handlers(changed: () => void): RequestHandlers<InspectorProtocol> {
    const { worker } = this.#services;
    return {
      open: async (_, { cancelOthers }) => {
        cancelOthers();
        const first = this.#first;
        this.#first = undefined;
        const file = await (first ?? this.#read());
        this.#header = file.header;
        if (!file.baseReason) void this.#findBase(file.header, changed);
        return file;
      },
      statistics: ({ layers }, { cancellation }) => worker.request("inspection/statistics", { ...this.#target, layers }, cancellation),
      detail: ({ layer }, { cancellation }) => worker.request("inspection/detail", { ...this.#target, layer }, cancellation),
      tile: (place, { cancellation }) => worker.request("inspection/tile", { ...this.#target, ...place }, cancellation),
      chooseBase: () => this.#bases.choose(this.#uri.fsPath, this.#header ?? {}),
      copy: copyText,
      save: (file) => saveFile(this.#uri, file),
    };
  }

  get #target() {
    return { ...this.#targetWith(this.#base), state: this.#header?.state ?? "" };
  }

  #targetWith(base: FoundBase | undefined) {
    return { path: this.#uri.fsPath, cache: this.#cache, ...(base && { base: base.path }) };
  }

  async #read(): Promise<InspectedFile> {
    const remembered = await this.#bases.remembered(this.#uri.fsPath);
    if (remembered) this.#base = remembered.path === null ? undefined : { path: remembered.path, reason: remembered.reason };
    else if (this.#base && !existsSync(this.#base.path)) this.#base = undefined;
    const base = this.#base;
    return { header: await this.#open(base), ...(base && { baseReason: base.reason }) };
  }

  async #open(base: FoundBase | undefined): Promise<InspectionHeader> {
    if (this.#uri.scheme !== "file") throw new Error(vscode.l10n.t("Only files on the disk of this machine can be inspected."));
    return this.#services.worker.request("inspection/open", this.#targetWith(base));
  }

  /** Whether a base has the weights that the file changes: headers tell the architecture at most, not the sizes. */
  async #isRight(found: FoundBase): Promise<boolean> {
    const { base, layers } = await this.#open(found);
    return base !== undefined && base.weights > layers.length / 2;
  }

  /** Looks for a base after the file is shown: knowing the workspace's files may take a while. */
  async #findBase(header: InspectionHeader, changed: () => void): Promise<void> {
    const file = this.#uri.fsPath;
    try {
      if (await this.#bases.remembered(file)) return;
      const found = await this.#bases.find(header);
      if (!found || !(await this.#isRight(found))) return;
      // Another one was chosen meanwhile, or another file opened.
      if (header !== this.#header || (await this.#bases.remembered(file))) return;
      if (found.reason === "onlyFit") await this.#bases.remember(file, found);
      this.#base = found;
      changed();
    } catch (error) {
      this.#services.log.warn(`Looking for the base of ${file}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}

/** Tells of a file that is another now, once it has been left alone for a while. */
function watch(uri: vscode.Uri, changed: () => void): vscode.Disposable {
  // The name itself would be a pattern: that of "ink[1].safetensors" is not "ink[1].safetensors".
  const watcher = vscode.workspace.createFileSystemWatcher(new vscode.RelativePattern(vscode.Uri.joinPath(uri, ".."), "*"));
  let timer: NodeJS.Timeout | undefined;
  const later = ({ fsPath }: vscode.Uri): void => {
    if (fsPath !== uri.fsPath) return;
    clearTimeout(timer);
    timer = setTimeout(changed, QUIET_MILLISECONDS);
  };
  return vscode.Disposable.from(watcher, watcher.onDidChange(later), watcher.onDidCreate(later), watcher.onDidDelete(later), {
    dispose: () => clearTimeout(timer),
  });
}
