import * as vscode from "vscode";
import type { FileSummary } from "../worker/protocol.ts";
import { setting } from "./contributions.ts";
import { FILE_EXTENSIONS, FOLDER_MARKS, type FileForm, type FoundFile, scanFolders } from "./files/scan.ts";
import { settingFolders } from "./files/setting-folders.ts";
import { isIn } from "./paths.ts";
import type { SummaryStore } from "./files/summaries.ts";
import type { WorkerHost } from "./worker/host.ts";

/** What a file's header says; of one that was not looked into yet, nothing but its path. */
export type Summary = Omit<FileSummary, "kind"> & { readonly kind: FileSummary["kind"] | "undescribed" };

/** A model file, engine bundle or diffusers folder that was found. */
export interface ModelFile {
  readonly uri: vscode.Uri;
  readonly form: FileForm;
  readonly bytes: number;
  readonly modified: number;
  readonly summary: Summary;
}

/** What tells a file from what it was before. */
type FileState = Pick<ModelFile, "form" | "bytes" | "modified">;

const PATTERN = `**/{${Object.keys(FOLDER_MARKS).join(",")},*{${Object.keys(FILE_EXTENSIONS).join(",")}}}`;
/** Settings that name folders outside of the workspace. */
const FOLDER_SETTINGS = ["enginePaths", "modelPaths"] as const;
/** Changes come in bursts (a build writes many files): one scan after they end. */
const QUIET_MILLISECONDS = 300;
/** As many LoRAs and checkpoints are looked into unasked; the rest of a large collection waits until a row or a command wants it. */
const DESCRIBED_UNASKED = 500;
/** Asked for at once, so that a file that a view wants meanwhile waits for no more than these. */
const BATCH = 64;

function isSameState(a: FileState, b: FileState): boolean {
  return a.bytes === b.bytes && a.modified === b.modified && a.form === b.form;
}

function undescribed({ path, form, bytes, modified }: FoundFile): ModelFile {
  return { uri: vscode.Uri.file(path), form, bytes, modified, summary: { path, kind: "undescribed" } };
}

/**
 * The model files of the workspace and of the folders named in settings. Listing them opens none; what they are is read from
 * their headers in the worker, those first that are wanted first, and kept for as long as size and date stay the same.
 */
export class ModelFiles implements vscode.Disposable {
  readonly #worker: WorkerHost;
  readonly #summaries: SummaryStore;
  readonly #log: vscode.LogOutputChannel;
  readonly #changed = new vscode.EventEmitter<readonly ModelFile[] | undefined>();
  /** Told the files that were described since; undefined where the list itself is another. */
  readonly onDidChange = this.#changed.event;
  readonly #subscriptions: vscode.Disposable[] = [this.#changed];
  #watchers: vscode.Disposable[] = [];
  #files = new Map<string, ModelFile>();
  #scan: Promise<void> | undefined;
  /** Paths to look into, in this order; a set, so that one is not asked for twice. */
  #wanted = new Set<string>();
  /** Files as they were when the worker was asked about them. */
  #asked = new Map<string, ModelFile | undefined>();
  #describing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #wrongSettings = "";

  constructor(worker: WorkerHost, summaries: SummaryStore, log: vscode.LogOutputChannel) {
    this.#worker = worker;
    this.#summaries = summaries;
    this.#log = log;
    this.#subscriptions.push(
      vscode.workspace.onDidChangeWorkspaceFolders(() => this.#reset()),
      vscode.workspace.onDidChangeConfiguration((change) => {
        if (FOLDER_SETTINGS.some((name) => change.affectsConfiguration(`tensorrt.${name}`))) this.#reset();
      }),
    );
  }

  /** Every file found so far. */
  get all(): readonly ModelFile[] {
    return [...this.#files.values()];
  }

  /** The files that are known to be of these kinds. */
  of(...kinds: readonly Summary["kind"][]): readonly ModelFile[] {
    return this.all.filter(({ summary }) => kinds.includes(summary.kind));
  }

  get(path: string): ModelFile | undefined {
    return this.#files.get(path);
  }

  /** Resolves once the files' names and sizes are known; starts the first scan, and the watching, where neither was. */
  listed(): Promise<void> {
    if (this.#watchers.length === 0) this.#watch();
    return (this.#scan ??= this.#scanOnce());
  }

  /** Resolves once every file, or every one of these forms, has been described. */
  async ready(...forms: readonly FileForm[]): Promise<void> {
    await this.listed();
    const paths = [...this.#files].filter(([, { form }]) => forms.length === 0 || forms.includes(form)).map(([path]) => path);
    this.describe(paths);
    const isMissing = (): boolean => paths.some((path) => this.#files.get(path)?.summary.kind === "undescribed");
    while (this.#describing && isMissing()) await Promise.race([this.#describing, this.#nextChange()]);
  }

  /** Resolves once nothing waits to be described. */
  async settled(): Promise<void> {
    await this.listed();
    while (this.#describing) await this.#describing;
  }

  /** Has these files described before others that wait. */
  describe(paths: Iterable<string>): void {
    this.#want([...paths].filter((path) => this.#files.get(path)?.summary.kind === "undescribed" && !this.#asked.has(path)));
  }

  /** Looks again at everything. */
  async refresh(): Promise<void> {
    // That the last look failed is no reason not to look again.
    await this.#scan?.catch(() => {});
    this.#scan = undefined;
    await this.listed();
  }

  dispose(): void {
    clearTimeout(this.#timer);
    for (const disposable of [...this.#watchers, ...this.#subscriptions]) disposable.dispose();
  }

  #nextChange(): Promise<void> {
    return new Promise((resolve) => {
      const subscription = this.onDidChange(() => {
        subscription.dispose();
        resolve();
      });
    });
  }

  #want(paths: readonly string[]): void {
    this.#wanted = new Set([...paths, ...this.#wanted]);
    if (this.#wanted.size === 0) return;
    this.#describing ??= this.#describeWanted().finally(() => {
      this.#describing = undefined;
      // Wanted while the last ones were being written down.
      this.#want([]);
    });
  }

  #bases(): (vscode.Uri | vscode.WorkspaceFolder)[] {
    const folders = (vscode.workspace.workspaceFolders ?? []).filter(({ uri }) => uri.scheme === "file");
    const paths = FOLDER_SETTINGS.flatMap((name) => settingFolders(setting(name)).folders);
    const outside = paths.filter((path) => !folders.some(({ uri }) => isIn(uri.fsPath, path)));
    return [...folders, ...outside.map((path) => vscode.Uri.file(path))];
  }

  /** Settings of the wrong type name no folder; said once, until they are others. */
  #tellWrongSettings(): void {
    const wrong = FOLDER_SETTINGS.filter((name) => !settingFolders(setting(name)).isList).map((name) => `tensorrt.${name}`);
    const isTold = this.#wrongSettings === wrong.join();
    this.#wrongSettings = wrong.join();
    if (wrong.length === 0 || isTold) return;
    const message = vscode.l10n.t("{0} has to be a list of folders' paths. What is none is left out.", wrong.join(", "));
    this.#log.warn(message);
    void vscode.window.showWarningMessage(message);
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
    const start = performance.now();
    this.#tellWrongSettings();
    const found = await scanFolders(this.#bases().map((base) => ("uri" in base ? base.uri : base).fsPath));
    const files = new Map<string, ModelFile>();
    for (const each of found) {
      const before = this.#files.get(each.path);
      const isKnown = before && (isSameState(before, each) || each.form === "bundle");
      const known = isKnown ? before.summary : await this.#summaries.get(each);
      files.set(each.path, known ? { ...undescribed(each), summary: known } : undescribed(each));
    }
    this.#files = files;
    this.#log.info(`Listed ${files.size} model files in ${Math.round(performance.now() - start)} ms.`);
    this.#changed.fire(undefined);
    this.describe(this.#unasked());
    // What a bundle is depends on its other files as well, so each scan looks into it again.
    this.#want(found.filter(({ form }) => form === "bundle").map(({ path }) => path));
  }

  /** What is looked into unasked: engines and deltas, which are few, and of the rest no more than a small collection has. */
  #unasked(): string[] {
    const isFirst = ({ form }: ModelFile): boolean => form !== "safetensors";
    const paths = ([...this.#files] as [string, ModelFile][]).toSorted(([, a], [, b]) => Number(isFirst(b)) - Number(isFirst(a)));
    return paths.slice(0, DESCRIBED_UNASKED).map(([path]) => path);
  }

  async #describeWanted(): Promise<void> {
    try {
      while (this.#wanted.size > 0) {
        const batch = [...this.#wanted].slice(0, BATCH);
        for (const path of batch) this.#wanted.delete(path);
        await this.#describeBatch(batch);
      }
      await this.#summaries.save(new Set(this.#files.keys()));
    } catch (error) {
      // What is not described is asked for again by the next scan.
      this.#wanted.clear();
      this.#log.warn(`Looking into model files stopped early: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  async #describeBatch(paths: readonly string[]): Promise<void> {
    const asked = new Map(paths.map((path) => [path, this.#files.get(path)]));
    this.#asked = asked;
    const summaries = await this.#worker.describe(paths).finally(() => (this.#asked = new Map()));
    const described: ModelFile[] = [];
    for (const summary of summaries) {
      const file = this.#files.get(summary.path);
      // Gone meanwhile.
      if (!file) continue;
      const before = asked.get(summary.path);
      if (!before || !isSameState(before, file)) {
        // Another file by now: what was read may be of either.
        this.#wanted.add(summary.path);
        continue;
      }
      const changed = { ...file, summary };
      this.#files.set(summary.path, changed);
      described.push(changed);
      await this.#summaries.set({ ...changed, path: summary.path }, summary);
    }
    this.#changed.fire(described);
  }
}
