import { basename } from "node:path";
import * as vscode from "vscode";
import type { ModelFile, ModelFiles } from "../files.ts";
import { LORA_MIME } from "./engines.ts";
import { type FileNode, type FolderNode, deltaNode, loraFolderNode, loraNode } from "./nodes.ts";

/** As many LoRAs as are shown unfolded; a collection of thousands stays folded until it is asked for. */
const FEW_LORAS = 50;

type Node = FileNode | FolderNode;

function byName(a: ModelFile, b: ModelFile): number {
  return basename(a.uri.fsPath).localeCompare(basename(b.uri.fsPath));
}

/** The deltas, and the LoRA files that deltas are made from. */
export class DeltasView implements vscode.TreeDataProvider<Node>, vscode.TreeDragAndDropController<Node> {
  readonly dropMimeTypes: readonly string[] = [];
  readonly dragMimeTypes = [LORA_MIME];
  readonly #files: ModelFiles;
  readonly #changed = new vscode.EventEmitter<void>();
  readonly onDidChangeTreeData = this.#changed.event;

  constructor(files: ModelFiles) {
    this.#files = files;
  }

  register(): vscode.Disposable {
    const view = vscode.window.createTreeView("tensorrt.deltas", {
      treeDataProvider: this,
      dragAndDropController: this,
      canSelectMany: true,
    });
    return vscode.Disposable.from(
      view,
      this.#changed,
      this.#files.onDidChange(() => this.#changed.fire()),
    );
  }

  getTreeItem(node: Node): vscode.TreeItem {
    return node.item;
  }

  async getChildren(node?: Node): Promise<Node[]> {
    if (node) return node.kind === "loraFolder" ? [...(node as FolderNode).children] : [];
    await this.#files.someOf("delta", "lora");
    const deltas = this.#files.of("delta").toSorted(byName).map(deltaNode);
    const loras = this.#files.of("lora").toSorted(byName).map(loraNode);
    return loras.length === 0 ? deltas : [...deltas, loraFolderNode(loras, loras.length <= FEW_LORAS)];
  }

  handleDrag(nodes: readonly Node[], dragged: vscode.DataTransfer): void {
    const files = nodes.filter((node): node is FileNode => "uri" in node);
    if (files.length > 0) dragged.set(LORA_MIME, new vscode.DataTransferItem(files));
  }
}
