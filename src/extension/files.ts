import { stat } from "node:fs/promises";
import { basename, dirname, extname, isAbsolute, join, relative } from "node:path";
import * as vscode from "vscode";
import type { FileSummary } from "../worker/protocol.ts";
import { setting } from "./contributions.ts";
import type { WorkerHost } from "./worker/host.ts";

/** A model file, engine bundle or diffusers folder that was found, and what its header says. */
export interface ModelFile {
  readonly uri: vscode.Uri;
  readonly bytes: number;
  readonly modified: number;
  readonly summary: FileSummary;
}

/** Bundles and diffusers folders are known by these files inside them. */
const FOLDER_MARKS = ["engine.json", "model_index.json"] as const;
const PATTERN = `**/{${FOLDER_MARKS.join(",")},*.safetensors,*.trt_lora}`;
const EXCLUDED = "**/{node_modules,.git}/**";
/** Changes come in bursts (a build writes many files): one scan after they end. */
const QUIET_MILLISECONDS = 300;
const STAT_AT_ONCE = 32;
/** While thousands of files are described, views are drawn again this often at most. */
const REDRAW_MILLISECONDS = 500;

interface State {
  readonly bytes: number;
  readonly modified: number;
}

/** Size and date; a folder's are those of the file that marks it. */
async function stateOf(path: string): Promise<State | undefined> {
  const isFile = /\.(safetensors|trt_lora)$/.test(path);
  for (const place of isFile ? [path] : FOLDER_MARKS.map((mark) => join(path, mark))) {
    const state = await stat(place).catch(() => undefined);
    if (state) return { bytes: state.size, modified: state.mtimeMs };
  }
  return undefined;
}

function isInside(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== "" && !way.startsWith("..") && !isAbsolute(way);
}

/** What the found paths stand for: a marked folder stands for all that lies in it. */
export function modelPaths(found: readonly string[]): string[] {
  const marks: readonly string[] = FOLDER_MARKS;
  const folders = new Set(found.filter((path) => marks.includes(basename(path))).map((path) => dirname(path)));
  const inFolder = (path: string): boolean => {
    for (let folder = dirname(path); folder !== dirname(folder); folder = dirname(folder)) if (folders.has(folder)) return true;
    return false;
  };
  const files = found.filter((path) => !marks.includes(basename(path)) && !(extname(path) === ".safetensors" && inFolder(path)));
  return [...new Set([...folders, ...files])].toSorted();
}

/**
 * The model files of the workspace and of the folders named in settings. Only headers are read, in the worker, and each file's
 * once as long as its size and date stay the same.
 */
export class ModelFiles implements vscode.Disposable {
  readonly #worker: WorkerHost;
  readonly #log: vscode.LogOutputChannel;
  readonly #changed = new vscode.EventEmitter<void>();
  readonly onDidChange = this.#changed.event;
  readonly #subscriptions: vscode.Disposable[] = [this.#changed];
  #watchers: vscode.Disposable[] = [];
  #files = new Map<string, ModelFile>();
  #scan: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(worker: WorkerHost, log: vscode.LogOutputChannel) {
    this.#worker = worker;
    this.#log = log;
    this.#subscriptions.push(
      vscode.workspace.onDidChangeWorkspaceFolders(() => this.#reset()),
      vscode.workspace.onDidChangeConfiguration((change) => {
        if (change.affectsConfiguration("tensorrt.enginePaths") || change.affectsConfiguration("tensorrt.modelPaths")) this.#reset();
      }),
    );
  }

  /** Every file found so far, by path. */
  get all(): readonly ModelFile[] {
    return [...this.#files.values()];
  }

  of(...kinds: readonly FileSummary["kind"][]): readonly ModelFile[] {
    return this.all.filter(({ summary }) => kinds.includes(summary.kind));
  }

  get(path: string): ModelFile | undefined {
    return this.#files.get(path);
  }

  /** Resolves once the first scan has ended; starts it, and the watching, where neither was. */
  ready(): Promise<void> {
    if (this.#watchers.length === 0) this.#watch();
    return (this.#scan ??= this.#scanOnce());
  }

  /** Resolves once a file of these kinds is known, or the first scan has ended without one. */
  async someOf(...kinds: readonly FileSummary["kind"][]): Promise<void> {
    let subscription: vscode.Disposable | undefined;
    const found = new Promise<void>((resolve) => {
      const look = (): void => void (this.of(...kinds).length > 0 && resolve());
      subscription = this.onDidChange(look);
      look();
    });
    await Promise.race([this.ready(), found]);
    subscription?.dispose();
  }

  /** Looks again at everything. */
  async refresh(): Promise<void> {
    await this.#scan;
    this.#scan = undefined;
    await this.ready();
  }

  dispose(): void {
    clearTimeout(this.#timer);
    for (const disposable of [...this.#watchers, ...this.#subscriptions]) disposable.dispose();
  }

  #bases(): (vscode.Uri | vscode.WorkspaceFolder)[] {
    const folders = (vscode.workspace.workspaceFolders ?? []).filter(({ uri }) => uri.scheme === "file");
    const paths = [...setting("enginePaths"), ...setting("modelPaths")].filter((path) => isAbsolute(path));
    const outside = paths.filter((path) => !folders.some(({ uri }) => uri.fsPath === path || isInside(uri.fsPath, path)));
    return [...folders, ...outside.map((path) => vscode.Uri.file(path))];
  }

  #reset(): void {
    for (const watcher of this.#watchers.splice(0)) watcher.dispose();
    if (this.#scan) this.#scheduleScan();
  }

  #watch(): void {
    for (const base of this.#bases()) {
      const watcher = vscode.workspace.createFileSystemWatcher(new vscode.RelativePattern(base, PATTERN));
      const changed = (): void => this.#scheduleScan();
      this.#watchers.push(watcher, watcher.onDidCreate(changed), watcher.onDidChange(changed), watcher.onDidDelete(changed));
    }
  }

  #scheduleScan(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.refresh().catch((error: unknown) => this.#log.error(String(error))), QUIET_MILLISECONDS);
  }

  async #scanOnce(): Promise<void> {
    const found: string[] = [];
    for (const base of this.#bases()) {
      const uris = await vscode.workspace.findFiles(new vscode.RelativePattern(base, PATTERN), EXCLUDED);
      for (const uri of uris) found.push(uri.fsPath);
    }
    const files = new Map<string, ModelFile>();
    const unread = new Map<string, State>();
    const paths = modelPaths(found);
    for (let start = 0; start < paths.length; start += STAT_AT_ONCE) {
      await Promise.all(
        paths.slice(start, start + STAT_AT_ONCE).map(async (path) => {
          const state = await stateOf(path);
          if (!state) return;
          const before = this.#files.get(path);
          if (before) files.set(path, before);
          if (before?.bytes !== state.bytes || before.modified !== state.modified) unread.set(path, state);
        }),
      );
    }
    this.#files = files;
    this.#changed.fire();
    await this.#describe(unread);
  }

  async #describe(unread: ReadonlyMap<string, State>): Promise<void> {
    // Bundles and deltas first: they are few, and what people look for.
    const paths = [...unread.keys()].toSorted((a, b) => Number(extname(a) === ".safetensors") - Number(extname(b) === ".safetensors"));
    let told = 0;
    try {
      for await (const summaries of this.#worker.describe(paths)) {
        for (const summary of summaries) {
          const state = unread.get(summary.path);
          if (state) this.#files.set(summary.path, { uri: vscode.Uri.file(summary.path), ...state, summary });
        }
        if (Date.now() - told < REDRAW_MILLISECONDS) continue;
        told = Date.now();
        this.#changed.fire();
      }
    } catch (error) {
      // What is not described is asked for again by the next scan.
      this.#log.warn(`Looking for model files stopped early: ${error instanceof Error ? error.message : String(error)}`);
    }
    this.#changed.fire();
  }
}
