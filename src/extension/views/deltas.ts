import { basename, dirname } from "node:path";
import * as vscode from "vscode";
import { VIEWS } from "../contributions.ts";
import type { ModelFile, ModelFiles } from "../files.ts";
import { fittingEngines } from "../fit.ts";
import { type FolderNode, adapterNode, adapterTooltip, folderNode } from "./adapterNodes.ts";
import { LORA_MIME, URI_LIST_MIME, dragFiles } from "./drag.ts";
import type { FileNode } from "./nodes.ts";
import { Redraw } from "./redraw.ts";

/** Files of a folder that is shown unfolded; one with thousands stays folded until it is asked for. */
const FEW_FILES = 50;
/** While thousands of files are described, rows are drawn again this often at most. */
const REDRAW_MILLISECONDS = 300;

type Node = FileNode | FolderNode;

const COLLATOR = new Intl.Collator(undefined, { numeric: true });

/** Deltas, LoRAs, and what may be a LoRA: a weights file that was not looked into yet. */
function isAdapter({ form, summary }: ModelFile): boolean {
  if (form === "delta") return true;
  return form === "safetensors" && ["lora", "delta", "undescribed"].includes(summary.kind);
}

/** The LoRAs and deltas by folder: all by name at once, what their headers say of the folders that are open. */
export class DeltasView implements vscode.TreeDataProvider<Node>, vscode.TreeDragAndDropController<Node> {
  readonly dropMimeTypes: readonly string[] = [];
  readonly dragMimeTypes = [LORA_MIME, URI_LIST_MIME];
  readonly #files: ModelFiles;
  readonly #changed = new vscode.EventEmitter<Node[] | undefined>();
  readonly onDidChangeTreeData = this.#changed.event;
  /** The rows shown, by path: VS Code knows a row again by its object. */
  #nodes = new Map<string, { item: vscode.TreeItem } & FileNode>();
  #engines: readonly ModelFile[] = [];
  /** Paths of rows to be drawn again; undefined: all. */
  #stale: Set<string> | undefined = new Set();
  readonly #redraw = new Redraw(() => this.#draw(), REDRAW_MILLISECONDS);

  constructor(files: ModelFiles) {
    this.#files = files;
  }

  register(): vscode.Disposable {
    const view = vscode.window.createTreeView(VIEWS.deltas, {
      treeDataProvider: this,
      dragAndDropController: this,
      canSelectMany: true,
      showCollapseAll: true,
    });
    return vscode.Disposable.from(view, this.follow());
  }

  /** Draws rows again as their files, or the engines, become others. */
  follow(): vscode.Disposable {
    return vscode.Disposable.from(
      this.#files.onDidChange((described) => this.#onFiles(described)),
      this.#redraw,
      this.#changed,
    );
  }

  getTreeItem(node: Node): vscode.TreeItem {
    return node.item;
  }

  resolveTreeItem(item: vscode.TreeItem, node: Node): vscode.TreeItem {
    const file = "uri" in node ? this.#files.get(node.uri.fsPath) : undefined;
    if (!file) return item;
    // The row that a person points at, before all others that wait.
    this.#files.describe([file.uri.fsPath]);
    item.tooltip = adapterTooltip(file, this.#fit(file));
    return item;
  }

  async getChildren(node?: Node): Promise<Node[]> {
    if (node) return node.kind === "folder" ? this.#filesOf((node as FolderNode).folder) : [];
    await this.#files.listed();
    const counts = new Map<string, number>();
    for (const file of this.#files.all) {
      if (!isAdapter(file)) continue;
      const folder = dirname(file.uri.fsPath);
      counts.set(folder, (counts.get(folder) ?? 0) + 1);
    }
    const folders = [...counts].toSorted(([a], [b]) => COLLATOR.compare(a, b));
    return folders.map(([folder, count]) => folderNode(folder, count, count <= FEW_FILES));
  }

  handleDrag(nodes: readonly Node[], dragged: vscode.DataTransfer): void {
    dragFiles(
      nodes.filter((node): node is FileNode => "uri" in node),
      dragged,
      LORA_MIME,
    );
  }

  #filesOf(folder: string): FileNode[] {
    const files = this.#files.all.filter((file) => dirname(file.uri.fsPath) === folder && isAdapter(file));
    const names = new Map(files.map((file) => [file, basename(file.uri.fsPath)]));
    files.sort((a, b) => COLLATOR.compare(names.get(a)!, names.get(b)!));
    this.#files.describe(files.map(({ uri }) => uri.fsPath));
    return files.map((file) => {
      const node = adapterNode(file, this.#fit(file));
      this.#nodes.set(file.uri.fsPath, node);
      return node;
    });
  }

  /** Names of the engines that a file fits; undefined where that is not known, or there is no engine. */
  #fit(file: ModelFile): string[] | undefined {
    if (this.#engines.length === 0) return undefined;
    return fittingEngines(file, this.#engines)?.map(({ uri }) => basename(uri.fsPath));
  }

  /** Takes the engines as they are described now; true where what fits them may be another. */
  #updateEngines(): boolean {
    const facts = (engines: readonly ModelFile[]): string =>
      JSON.stringify(engines.map(({ summary: { path, architecture, fingerprint } }) => [path, architecture, fingerprint]));
    const engines = this.#files.of("engine bundle");
    const haveChanged = facts(engines) !== facts(this.#engines);
    this.#engines = engines;
    return haveChanged;
  }

  #onFiles(described: readonly ModelFile[] | undefined): void {
    const haveEnginesChanged = (!described || described.some(({ form }) => form === "bundle")) && this.#updateEngines();
    // Of what is no LoRA after all the row goes.
    const isOther = !described || described.some((file) => file.form === "safetensors" && !isAdapter(file));
    if (isOther || haveEnginesChanged) this.#stale = undefined;
    else for (const { uri } of described) this.#stale?.add(uri.fsPath);
    this.#redraw.request();
  }

  #draw(): void {
    const stale = this.#stale;
    this.#stale = new Set();
    if (!stale) {
      this.#nodes.clear();
      this.#changed.fire(undefined);
      return;
    }
    const nodes: FileNode[] = [];
    for (const path of stale) {
      const [node, file] = [this.#nodes.get(path), this.#files.get(path)];
      if (!node || !file) continue;
      node.item = adapterNode(file, this.#fit(file)).item;
      nodes.push(node);
    }
    if (nodes.length > 0) this.#changed.fire(nodes);
  }
}
