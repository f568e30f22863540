import { basename } from "node:path";
import * as vscode from "vscode";
import type { GenerationProtocol, HistoryItem, PanelStart, PanelState } from "../../webview/generation/protocol.ts";
import { isOptions, selectedPath, toPath } from "../commands/arguments.ts";
import type { Services } from "../commands/services.ts";
import { type Commands, settingChoices } from "../contributions.ts";
import type { EngineProblems } from "../engineProblems.ts";
import { webviewHtml, webviewOptions } from "../webviews/html.ts";
import { WebviewServer } from "../webviews/server.ts";
import { engineChoices, loraChoices, stackItems, stackView } from "./choices.ts";
import { generationHandlers } from "./handlers.ts";
import type { HistoryRecord } from "./history.ts";
import { defaultForm, type GenerationSession } from "./session.ts";
import { LARGEST_BYTES, pictureFolders } from "./sources.ts";
import { generationTexts } from "./texts.ts";
import { removeUnusedSources } from "./unused-sources.ts";

const VIEW_TYPE = "tensorrt.generation";
/** While thousands of files are described, the page is told this often at most. */
const QUIET_MILLISECONDS = 400;

/** What the panel shows and acts on. */
export interface Surroundings {
  readonly context: vscode.ExtensionContext;
  readonly services: Services;
  readonly session: GenerationSession;
  readonly problems: EngineProblems;
}

/** The generation panel: one editor tab, which comes back with the window. */
export class GenerationPanel implements vscode.WebviewPanelSerializer, vscode.Disposable {
  readonly #surroundings: Surroundings;
  #open: OpenPanel | undefined;

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings;
  }

  register(): vscode.Disposable {
    return vscode.Disposable.from(this, vscode.window.registerWebviewPanelSerializer(VIEW_TYPE, this));
  }

  /** Shows the panel, with the engine that was selected. */
  show(): Commands["tensorrt.openGenerationPanel"] {
    return (argument) => {
      const engine = isOptions<{ engine: string | vscode.Uri }>(argument, "engine") ? toPath(argument.engine) : selectedPath(argument);
      if (this.#open) this.#open.reveal(engine);
      else {
        const title = vscode.l10n.t("Generate");
        const column = vscode.ViewColumn.Active;
        this.#adopt(vscode.window.createWebviewPanel(VIEW_TYPE, title, column), engine);
      }
      return Promise.resolve();
    };
  }

  deserializeWebviewPanel(panel: vscode.WebviewPanel): Promise<void> {
    this.#adopt(panel, undefined);
    return Promise.resolve();
  }

  dispose(): void {
    this.#open?.dispose();
  }

  #adopt(panel: vscode.WebviewPanel, engine: string | undefined): void {
    const open = new OpenPanel(panel, engine, this.#surroundings);
    this.#open = open;
    panel.onDidDispose(() => {
      open.dispose();
      if (this.#open === open) this.#open = undefined;
    });
  }
}

/** The panel while it is open: tells its page whatever changes. */
class OpenPanel {
  readonly #panel: vscode.WebviewPanel;
  readonly #surroundings: Surroundings;
  readonly #server: WebviewServer<GenerationProtocol>;
  readonly #subscriptions: vscode.Disposable[];
  /** Where dropped pictures are kept. */
  readonly #dropped: vscode.Uri;
  /** The engine that the page shows. */
  #engine: string;
  #timer: NodeJS.Timeout | undefined;

  constructor(panel: vscode.WebviewPanel, engine: string | undefined, surroundings: Surroundings) {
    this.#panel = panel;
    this.#surroundings = surroundings;
    const { context, services, session } = surroundings;
    this.#engine = engine ?? "";
    const dropped = vscode.Uri.joinPath(context.storageUri ?? context.globalStorageUri, "dropped");
    // Windows without a workspace share one folder, and know nothing of each other's history.
    if (context.storageUri) {
      removeUnusedSources(dropped.fsPath, services.memory).catch((error: unknown) => services.log.warn(String(error)));
    }
    const icon = (theme: string): vscode.Uri => vscode.Uri.joinPath(context.extensionUri, "media", `generation-${theme}.svg`);
    panel.iconPath = { light: icon("light"), dark: icon("dark") };
    this.#dropped = dropped;
    this.#allowPictures();
    this.#server = new WebviewServer<GenerationProtocol>(
      panel.webview,
      generationHandlers({
        services,
        session,
        dropped,
        shown: (path) => this.#shown(path),
        state: () => this.#state(),
        onEngine: (chosen) => this.#choose(chosen),
      }),
    );
    const start: PanelStart = {
      defaults: defaultForm(),
      kept: session.keptForm,
      ...(engine !== undefined && { engine }),
      samplers: settingChoices(context, "generate.sampler"),
      schedules: settingChoices(context, "generate.schedule"),
      largestPicture: LARGEST_BYTES,
    };
    panel.webview.html = webviewHtml(panel.webview, context.extensionUri, {
      name: "generation",
      title: panel.title,
      data: { texts: generationTexts(), start },
    });
    this.#subscriptions = this.#subscribe();
  }

  reveal(engine: string | undefined): void {
    this.#panel.reveal();
    if (engine === undefined) return;
    this.#choose(engine);
    this.#server.send("choose", { engine });
  }

  dispose(): void {
    clearTimeout(this.#timer);
    this.#server.dispose();
    for (const subscription of this.#subscriptions) subscription.dispose();
  }

  #subscribe(): vscode.Disposable[] {
    const { services, session } = this.#surroundings;
    const { files, worker, stacks } = services;
    return [
      files.onDidChange(() => this.#filesChanged()),
      worker.onDidChangeEngines(() => this.#tell({ engines: this.#engines() })),
      this.#surroundings.problems.onDidChange(() => this.#tell({ engines: this.#engines() })),
      stacks.onDidChange(() => this.#tell({ stack: this.#stack() })),
      session.onDidChange((part) => this.#tell(part === "queue" ? { queue: session.queue.view } : { history: this.#history() })),
      session.onDidProgress((progress) => this.#server.send("progress", progress)),
      session.onDidFinish(({ id }) => this.#server.send("done", { id })),
      vscode.workspace.onDidGrantWorkspaceTrust(() => this.#tell({ trusted: true })),
      vscode.workspace.onDidChangeConfiguration((change) => change.affectsConfiguration("tensorrt.outputFolder") && this.#allowPictures()),
    ];
  }

  /** Lets the page show the pictures of the workspace, and of the folder that they are written to. */
  #allowPictures(): void {
    this.#panel.webview.options = webviewOptions(this.#surroundings.context.extensionUri, [...pictureFolders(), this.#dropped]);
  }

  #tell(changed: Partial<PanelState>): void {
    this.#server.send("changed", changed);
  }

  #filesChanged(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#tell({ engines: this.#engines(), loras: loraChoices(this.#surroundings.services.files) });
    }, QUIET_MILLISECONDS);
  }

  #choose(engine: string): void {
    if (engine === this.#engine) return;
    this.#engine = engine;
    this.#tell({ stack: this.#stack() });
  }

  async #state(): Promise<PanelState> {
    const { services, session } = this.#surroundings;
    await services.files.ready("bundle");
    return {
      trusted: vscode.workspace.isTrusted,
      engines: this.#engines(),
      loras: loraChoices(services.files),
      stack: this.#stack(),
      queue: session.queue.view,
      history: this.#history(),
    };
  }

  #engines(): PanelState["engines"] {
    const { files, worker } = this.#surroundings.services;
    return engineChoices(files, worker.loadedEngines, (path) => this.#surroundings.problems.of(path));
  }

  #stack(): PanelState["stack"] {
    const { stacks } = this.#surroundings.services;
    return this.#engine === "" ? null : stackView(this.#engine, stacks.of(this.#engine), stacks.state(this.#engine));
  }

  #history(): HistoryItem[] {
    const toItem = ({ pictures, stack, ...record }: HistoryRecord): HistoryItem => ({
      ...record,
      stack: stackItems(stack),
      pictures: pictures.map((path) => ({ path, name: basename(path), uri: this.#shown(path) })),
    });
    return this.#surroundings.session.history.map(toItem);
  }

  #shown(path: string): string {
    return this.#panel.webview.asWebviewUri(vscode.Uri.file(path)).toString();
  }
}
