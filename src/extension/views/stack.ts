import { basename } from "node:path";
import * as vscode from "vscode";
import { VIEWS } from "../contributions.ts";
import { moved, withChanges, withEntry } from "../stack/entries.ts";
import type { StackState, Stacks } from "../stack/stacks.ts";
import { LORA_MIME, STACK_MIME, URI_LIST_MIME, dragFiles, droppedUris, isAdapterName } from "./drag.ts";
import { Redraw } from "./redraw.ts";
import { type EmptyStackNode, type StackNode, emptyStackNode, stackNode } from "./stackNodes.ts";
import { formatMilliseconds } from "./texts.ts";

/** How long the last change took: "Applied in 61 ms: merge 18 ms, refit 43 ms". */
function timesText({ applied }: StackState): string | undefined {
  if (!applied) return undefined;
  const [total, merge, refit] = [applied.timings.total, applied.timings.merge, applied.timings.refit].map(formatMilliseconds);
  return vscode.l10n.t("Applied in {0}: merge {1}, refit {2}", total!, merge!, refit!);
}

type Node = StackNode | EmptyStackNode;

function isEntry(node: Node | undefined): node is StackNode {
  return node?.kind === "stackEntry";
}

/** The LoRAs of a loaded engine in the order of their application, each with a box that switches it on and off. */
export class StackView implements vscode.TreeDataProvider<Node>, vscode.TreeDragAndDropController<Node> {
  readonly dropMimeTypes = [STACK_MIME, LORA_MIME, URI_LIST_MIME];
  readonly dragMimeTypes = [STACK_MIME, URI_LIST_MIME];
  readonly #stacks: Stacks;
  /** Shows a person why a change they made by hand did not work. */
  readonly #interactively: (change: () => Promise<unknown>) => Promise<unknown>;
  readonly #changed = new vscode.EventEmitter<void>();
  readonly onDidChangeTreeData = this.#changed.event;
  #view: vscode.TreeView<Node> | undefined;
  #selected: readonly StackNode[] = [];

  constructor(stacks: Stacks, interactively: (change: () => Promise<unknown>) => Promise<unknown>) {
    this.#stacks = stacks;
    this.#interactively = interactively;
  }

  /** The selected rows, which keys act on. VS Code knows of none while it draws the rows again, which is when a held key comes. */
  get selection(): readonly StackNode[] {
    return this.#selected.filter(({ engine }) => engine === this.#stacks.engine);
  }

  register(): vscode.Disposable {
    this.#view = vscode.window.createTreeView(VIEWS.stack, {
      treeDataProvider: this,
      dragAndDropController: this,
      canSelectMany: true,
      manageCheckboxStateManually: true,
    });
    this.#describe();
    const redraw = new Redraw(() => {
      // The rows first: VS Code draws the first of several changes at once, and those that follow it a fifth of a second later.
      this.#changed.fire();
      this.#describe();
    });
    return vscode.Disposable.from(
      this.#view,
      this.#changed,
      redraw,
      this.#view.onDidChangeSelection(({ selection }) => (this.#selected = selection.filter(isEntry))),
      this.#view.onDidChangeCheckboxState(({ items }) => void this.#interactively(() => this.#switch(items))),
      this.#stacks.onDidChange(() => redraw.request()),
    );
  }

  getTreeItem(node: Node): vscode.TreeItem {
    return node.item;
  }

  getChildren(node?: Node): Node[] {
    const { engine } = this.#stacks;
    if (node || engine === undefined) return [];
    const { applied, problem } = this.#stacks.state(engine);
    const stack = this.#stacks.of(engine);
    return stack.length === 0 ? [emptyStackNode(engine)] : stack.map((entry) => stackNode(engine, entry, applied, problem));
  }

  handleDrag(nodes: readonly Node[], dragged: vscode.DataTransfer): void {
    dragFiles(nodes.filter(isEntry), dragged, STACK_MIME);
  }

  /** Rows of its own are moved to before the target, files put on the stack there. */
  async handleDrop(row: Node | undefined, dragged: vscode.DataTransfer): Promise<void> {
    const { engine } = this.#stacks;
    if (engine === undefined) {
      void vscode.window.showInformationMessage(vscode.l10n.t("Load an engine first: the stack is that of a loaded engine."));
      return;
    }
    const target = isEntry(row) ? row.uri.fsPath : undefined;
    const own: unknown = dragged.get(STACK_MIME)?.value;
    if (Array.isArray(own)) {
      const files = (own as StackNode[]).map(({ uri }) => uri.fsPath);
      await this.#interactively(() => this.#stacks.change(engine, (stack) => moved(stack, files, target)));
      return;
    }
    const files = (await droppedUris(dragged)).map(({ fsPath }) => fsPath).filter(isAdapterName);
    if (files.length === 0) {
      void vscode.window.showWarningMessage(vscode.l10n.t("Only LoRAs (.safetensors) and deltas (.trt_lora) can be put on a stack."));
      return;
    }
    const before = this.#stacks.of(engine).findIndex(({ file }) => file === target);
    await this.#interactively(() =>
      this.#stacks.change(engine, (stack) =>
        files.reduce((result, file, index) => withEntry(result, file, {}, before < 0 ? result.length : before + index), stack),
      ),
    );
  }

  /** Switches the rows whose boxes were clicked; a box of a selected row stands for all that are selected. */
  async #switch(items: readonly (readonly [Node, vscode.TreeItemCheckboxState])[]): Promise<void> {
    const clicked = items.flatMap(([node, state]) =>
      isEntry(node) ? [{ ...node, enabled: state === vscode.TreeItemCheckboxState.Checked }] : [],
    );
    const engine = clicked[0]?.engine;
    if (engine === undefined) return;
    const selected = this.selection.map(({ uri }) => uri.fsPath);
    await this.#stacks.change(engine, (stack) =>
      clicked.reduce((result, { uri, enabled }) => {
        const files = selected.includes(uri.fsPath) ? selected : [uri.fsPath];
        return withChanges(result, files, { enabled });
      }, stack),
    );
  }

  /** Whose stack it is, and how its last change went. */
  #describe(): void {
    if (!this.#view) return;
    const { engine } = this.#stacks;
    Object.assign(this.#view, {
      description: engine === undefined ? undefined : basename(engine),
      // It would hide the welcome text of a view without an engine.
      message: engine === undefined ? undefined : messageOf(this.#stacks.state(engine), this.#stacks.of(engine).length === 0),
    });
  }
}

function messageOf(state: StackState, isEmpty: boolean): string | undefined {
  if (state.applying) return vscode.l10n.t("Applying the stack…");
  if (state.problem !== undefined) return state.problem;
  if (!isEmpty) return timesText(state);
  return vscode.l10n.t("No LoRA is on this engine's stack. Drag LoRAs and deltas here from their view or from the explorer.");
}
