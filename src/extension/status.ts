import { basename } from "node:path";
import * as vscode from "vscode";
import type { CommandId } from "./contributions.ts";
import type { Stacks } from "./stack/stacks.ts";
import { escapeMarkdown, formatBytes, formatMilliseconds, joined, stackSizeText } from "./views/texts.ts";
import type { WorkerHost, WorkerState } from "./worker/host.ts";

/** How long the time of a stack's change stays beside the engine's name. */
const TIME_SHOWN_MILLISECONDS = 6_000;

const LOOKS: Readonly<Record<WorkerState, { readonly icon: string; readonly background?: string }>> = {
  stopped: { icon: "$(circuit-board)" },
  idle: { icon: "$(circuit-board)" },
  busy: { icon: "$(sync~spin)" },
  crashed: { icon: "$(error)", background: "statusBarItem.errorBackground" },
};

function describe(state: WorkerState): string {
  const descriptions: Readonly<Record<WorkerState, string>> = {
    stopped: vscode.l10n.t("The engine worker is not running; it starts when it is needed."),
    idle: vscode.l10n.t("The engine worker is ready."),
    busy: vscode.l10n.t("The engine worker is at work."),
    crashed: vscode.l10n.t("The engine worker ended unexpectedly."),
  };
  return descriptions[state];
}

/** Commands of the tooltip, those that make sense now. */
function links(state: WorkerState, engine: string | undefined): readonly (readonly [title: string, command: CommandId])[] {
  const restart = [vscode.l10n.t("Restart Engine Worker"), "tensorrt.restartWorker"] as const;
  const looks = [[vscode.l10n.t("Show Log"), "tensorrt.showLog"] as const, [vscode.l10n.t("Doctor"), "tensorrt.doctor"] as const];
  if (state === "crashed") return [restart, ...looks];
  if (engine === undefined) return [[vscode.l10n.t("Load Engine"), "tensorrt.loadEngine"], ...looks];
  return [
    [vscode.l10n.t("Generation Panel"), "tensorrt.openGenerationPanel"],
    [vscode.l10n.t("Add to Stack"), "tensorrt.addToStack"],
    [vscode.l10n.t("Unload Engine"), "tensorrt.unloadEngine"],
    restart,
    ...looks,
  ];
}

/** The one status bar item: the worker's health, the engine with its stack and memory, and what can be done in its tooltip. */
export class StatusItem implements vscode.Disposable {
  readonly #worker: WorkerHost;
  readonly #stacks: Stacks;
  readonly #item: vscode.StatusBarItem;
  readonly #subscriptions: vscode.Disposable;
  #time: string | undefined;
  #applied: unknown;
  #timer: NodeJS.Timeout | undefined;

  constructor(worker: WorkerHost, stacks: Stacks) {
    this.#worker = worker;
    this.#stacks = stacks;
    this.#item = vscode.window.createStatusBarItem("tensorrt.worker", vscode.StatusBarAlignment.Left);
    this.#item.name = vscode.l10n.t("TensorRT Engine Worker");
    const update = (): void => this.#update();
    this.#subscriptions = vscode.Disposable.from(
      this.#item,
      worker.onDidChangeState(update),
      worker.onDidChangeEngines(update),
      stacks.onDidChange(() => {
        this.#noteTime();
        update();
      }),
    );
    update();
    this.#item.show();
  }

  dispose(): void {
    clearTimeout(this.#timer);
    this.#subscriptions.dispose();
  }

  /** The time of a change that has just been made, for a while. */
  #noteTime(): void {
    const { engine } = this.#stacks;
    const applied = engine === undefined ? undefined : this.#stacks.state(engine).applied;
    if (!applied || applied === this.#applied) return;
    this.#applied = applied;
    this.#time = vscode.l10n.t("applied in {0}", formatMilliseconds(applied.timings.total));
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#time = undefined;
      this.#update();
    }, TIME_SHOWN_MILLISECONDS);
  }

  #update(): void {
    const { state } = this.#worker;
    const { engine } = this.#stacks;
    const { icon, background } = LOOKS[state];
    const stack = engine === undefined ? undefined : stackSizeText(this.#stacks.references(engine).length);
    const label = engine === undefined ? "TensorRT" : joined([basename(engine), stack, this.#time]);
    this.#item.text = `${icon} ${label}`;
    this.#item.backgroundColor = background === undefined ? undefined : new vscode.ThemeColor(background);
    this.#item.command = state === "crashed" ? "tensorrt.restartWorker" : "tensorrt.engines.focus";
    this.#item.accessibilityInformation = { label: `TensorRT: ${label}. ${describe(state)}` };
    this.#item.tooltip = this.#tooltip();
  }

  #tooltip(): vscode.MarkdownString {
    const { state, loadedEngines } = this.#worker;
    const tooltip = new vscode.MarkdownString("", true);
    tooltip.appendMarkdown(`${LOOKS[state].icon.replace("~spin", "")} ${describe(state)}\n\n`);
    for (const { path, backend, memoryBytes } of loadedEngines) {
      const stack = stackSizeText(this.#stacks.references(path).length);
      const facts = escapeMarkdown(joined([backend, formatBytes(memoryBytes), stack]));
      tooltip.appendMarkdown(`- **${escapeMarkdown(basename(path))}** ${facts}\n`);
    }
    const commands = links(state, this.#stacks.engine);
    tooltip.appendMarkdown(`\n${commands.map(([title, command]) => `[${title}](command:${command})`).join(" · ")}`);
    tooltip.isTrusted = { enabledCommands: commands.map(([, command]) => command) };
    return tooltip;
  }
}
