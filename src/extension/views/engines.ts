import { basename } from "node:path";
import * as vscode from "vscode";
import { VIEWS } from "../contributions.ts";
import type { EngineProblems } from "../engineProblems.ts";
import type { ModelFile, ModelFiles } from "../files.ts";
import type { Stacks } from "../stack/stacks.ts";
import type { WorkerHost } from "../worker/host.ts";
import { LORA_MIME, URI_LIST_MIME, droppedUris, isLoraName } from "./drag.ts";
import { componentNodes, engineNode } from "./engineNodes.ts";
import type { FileNode } from "./nodes.ts";
import { Redraw } from "./redraw.ts";

export interface EnginesViewParts {
  readonly files: ModelFiles;
  readonly worker: WorkerHost;
  readonly stacks: Stacks;
  readonly problems: EngineProblems;
  readonly makeDelta: (engine: vscode.Uri, lora: vscode.Uri) => Promise<unknown>;
}

/** The engine bundles; LoRAs dropped on one become its deltas. */
export class EnginesView implements vscode.TreeDataProvider<FileNode>, vscode.TreeDragAndDropController<FileNode> {
  readonly dropMimeTypes = [LORA_MIME, URI_LIST_MIME];
  readonly dragMimeTypes: readonly string[] = [];
  readonly #parts: EnginesViewParts;
  readonly #changed = new vscode.EventEmitter<void>();
  readonly onDidChangeTreeData = this.#changed.event;

  constructor(parts: EnginesViewParts) {
    this.#parts = parts;
  }

  register(): vscode.Disposable {
    const { files, worker, stacks, problems } = this.#parts;
    const view = vscode.window.createTreeView(VIEWS.engines, { treeDataProvider: this, dragAndDropController: this });
    const redraw = new Redraw(() => this.#changed.fire());
    const changed = (): void => redraw.request();
    return vscode.Disposable.from(
      view,
      this.#changed,
      redraw,
      files.onDidChange((described) => (!described || described.some(({ form }) => form === "bundle")) && changed()),
      worker.onDidChangeEngines(changed),
      stacks.onDidChange(changed),
      problems.onDidChange(changed),
    );
  }

  getTreeItem(node: FileNode): vscode.TreeItem {
    return node.item;
  }

  async getChildren(node?: FileNode): Promise<FileNode[]> {
    const { files } = this.#parts;
    if (node) {
      const file = files.get(node.uri.fsPath);
      return file && node.kind !== "component" ? componentNodes(file) : [];
    }
    await files.listed();
    const byName = (a: ModelFile, b: ModelFile): number => basename(a.uri.fsPath).localeCompare(basename(b.uri.fsPath));
    return files.all
      .filter(({ form }) => form === "bundle")
      .toSorted(byName)
      .map((file) => this.#node(file));
  }

  #node(file: ModelFile): FileNode {
    const { worker, stacks, problems } = this.#parts;
    const path = file.uri.fsPath;
    const loaded = worker.loadedEngines.find((engine) => engine.path === path);
    return engineNode(file, { loaded, stackSize: stacks.references(path).length, problem: problems.of(path) });
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
    for (const lora of loras) await this.#parts.makeDelta(target.uri, lora);
  }
}
