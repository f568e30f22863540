import { basename, extname } from "node:path";
import * as vscode from "vscode";
import type { ModelFile, ModelFiles } from "../files.ts";
import type { WorkerHost } from "../worker/host.ts";
import { type FileNode, componentNodes, engineNode } from "./nodes.ts";

/** What rows of the deltas view are dragged as. */
export const LORA_MIME = "application/vnd.code.tree.tensorrt.deltas";
const URI_LIST_MIME = "text/uri-list";

/** Files that may be dropped on an engine. */
export function isLoraName(path: string): boolean {
  return extname(path) === ".safetensors";
}

/** The engine bundles; LoRAs dropped on one become its deltas. */
export class EnginesView implements vscode.TreeDataProvider<FileNode>, vscode.TreeDragAndDropController<FileNode> {
  readonly dropMimeTypes = [LORA_MIME, URI_LIST_MIME];
  readonly dragMimeTypes: readonly string[] = [];
  readonly #files: ModelFiles;
  readonly #worker: WorkerHost;
  readonly #makeDelta: (engine: vscode.Uri, lora: vscode.Uri) => Promise<unknown>;
  readonly #changed = new vscode.EventEmitter<void>();
  readonly onDidChangeTreeData = this.#changed.event;

  constructor(files: ModelFiles, worker: WorkerHost, makeDelta: (engine: vscode.Uri, lora: vscode.Uri) => Promise<unknown>) {
    this.#files = files;
    this.#worker = worker;
    this.#makeDelta = makeDelta;
  }

  register(): vscode.Disposable {
    const view = vscode.window.createTreeView("tensorrt.engines", { treeDataProvider: this, dragAndDropController: this });
    const changed = (): void => this.#changed.fire();
    return vscode.Disposable.from(view, this.#changed, this.#files.onDidChange(changed), this.#worker.onDidChangeEngines(changed));
  }

  getTreeItem(node: FileNode): vscode.TreeItem {
    return node.item;
  }

  async getChildren(node?: FileNode): Promise<FileNode[]> {
    if (node) {
      const file = this.#files.get(node.uri.fsPath);
      return file && node.kind !== "component" ? componentNodes(file) : [];
    }
    await this.#files.someOf("engine bundle");
    const byName = (a: ModelFile, b: ModelFile): number => basename(a.uri.fsPath).localeCompare(basename(b.uri.fsPath));
    const loaded = new Map(this.#worker.loadedEngines.map(({ path, memoryBytes }) => [path, memoryBytes]));
    return this.#files
      .of("engine bundle")
      .toSorted(byName)
      .map((file) => engineNode(file, loaded.get(file.uri.fsPath)));
  }

  async handleDrop(target: FileNode | undefined, dragged: vscode.DataTransfer): Promise<void> {
    if (!target || target.kind === "component") {
      void vscode.window.showInformationMessage(vscode.l10n.t("Drop a LoRA on an engine to make its delta."));
      return;
    }
    const uris = await droppedUris(dragged);
    const loras = uris.filter((uri) => isLoraName(uri.fsPath));
    if (loras.length === 0) {
      void vscode.window.showWarningMessage(vscode.l10n.t("Only LoRA files (.safetensors) can be made into deltas of an engine."));
      return;
    }
    for (const lora of loras) await this.#makeDelta(target.uri, lora);
  }
}

async function droppedUris(dragged: vscode.DataTransfer): Promise<vscode.Uri[]> {
  const rows: unknown = dragged.get(LORA_MIME)?.value;
  if (Array.isArray(rows)) return (rows as FileNode[]).flatMap((row) => ("uri" in row ? [row.uri] : []));
  const list = (await dragged.get(URI_LIST_MIME)?.asString()) ?? "";
  const lines = list.split(/\r?\n/).filter((line) => line !== "" && !line.startsWith("#"));
  return lines.map((line) => vscode.Uri.parse(line)).map((uri) => (uri.scheme === "file" ? uri : vscode.Uri.file(uri.path)));
}
