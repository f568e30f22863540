import { basename } from "node:path";
import * as vscode from "vscode";
import type { InspectionHeader } from "../../jobs/inspection/types.ts";
import type { InspectorProtocol } from "../../webview/inspector/protocol.ts";
import type { Services } from "../commands/services.ts";
import { VIEW_TYPES } from "../contributions.ts";
import { copyText, saveFile } from "../webviews/files.ts";
import { webviewHtml, webviewOptions } from "../webviews/html.ts";
import { WebviewServer } from "../webviews/server.ts";
import { InspectionBases } from "./base.ts";
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
    const watcher = watch(uri, () => server.send("changed", null));
    panel.onDidDispose(() => {
      server.dispose();
      watcher.dispose();
    });
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
  #found: string | undefined;

  constructor(uri: vscode.Uri, services: Services, bases: InspectionBases, cache: string) {
    this.#uri = uri;
    this.#services = services;
    this.#bases = bases;
    this.#cache = cache;
  }

  handlers(changed: () => void): ConstructorParameters<typeof WebviewServer<InspectorProtocol>>[1] {
    const { worker } = this.#services;
    return {
      open: async (_, { cancelOthers }) => {
        cancelOthers();
        const header = await this.#open();
        void this.#findBase(header, changed);
        return header;
      },
      statistics: ({ layers }, { cancellation }) => worker.request("inspection/statistics", { ...this.#target, layers }, cancellation),
      detail: ({ layer }, { cancellation }) => worker.request("inspection/detail", { ...this.#target, layer }, cancellation),
      tile: (place, { cancellation }) => worker.request("inspection/tile", { ...this.#target, ...place }, cancellation),
      chooseBase: () => this.#bases.choose(this.#uri.fsPath, this.#header?.architecture),
      copy: copyText,
      save: (file) => saveFile(this.#uri, file),
    };
  }

  get #base(): string | undefined {
    const chosen = this.#bases.chosen(this.#uri.fsPath);
    return chosen === null ? undefined : (chosen ?? this.#found);
  }

  get #target() {
    const base = this.#base;
    const { state = "" } = this.#header ?? {};
    return { path: this.#uri.fsPath, state, cache: this.#cache, ...(base !== undefined && { base }) };
  }

  async #open(): Promise<InspectionHeader> {
    if (this.#uri.scheme !== "file") throw new Error(vscode.l10n.t("Only files on the disk of this machine can be inspected."));
    const { state: _, ...target } = this.#target;
    this.#header = await this.#services.worker.request("inspection/open", target);
    return this.#header;
  }

  /** Looks for the base of a delta after the file is shown: knowing the workspace's files may take a while. */
  async #findBase(header: InspectionHeader, changed: () => void): Promise<void> {
    if (this.#base !== undefined || this.#bases.chosen(this.#uri.fsPath) === null) return;
    try {
      this.#found = await this.#bases.find(header);
    } catch (error) {
      this.#services.log.warn(`Looking for the base of ${this.#uri.fsPath}: ${error instanceof Error ? error.message : String(error)}`);
    }
    if (this.#found !== undefined && header === this.#header) changed();
  }
}

/** Tells of a file that is another now, once it has been left alone for a while. */
function watch(uri: vscode.Uri, changed: () => void): vscode.Disposable {
  const watcher = vscode.workspace.createFileSystemWatcher(new vscode.RelativePattern(vscode.Uri.joinPath(uri, ".."), basename(uri.path)));
  let timer: NodeJS.Timeout | undefined;
  const later = (): void => {
    clearTimeout(timer);
    timer = setTimeout(changed, QUIET_MILLISECONDS);
  };
  return vscode.Disposable.from(watcher, watcher.onDidChange(later), watcher.onDidCreate(later), watcher.onDidDelete(later), {
    dispose: () => clearTimeout(timer),
  });
}
