import * as vscode from "vscode";
import type { WorkerHost, WorkerState } from "./worker/host.ts";

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

/** The one status bar item: the worker's health, with what can be done about it in its tooltip. */
export function createStatusItem(worker: WorkerHost): vscode.Disposable {
  const item = vscode.window.createStatusBarItem("tensorrt.worker", vscode.StatusBarAlignment.Left);
  item.name = vscode.l10n.t("TensorRT Engine Worker");
  item.command = "tensorrt.showLog";
  const update = (): void => {
    const { icon, background } = LOOKS[worker.state];
    item.text = `${icon} TensorRT`;
    item.backgroundColor = background === undefined ? undefined : new vscode.ThemeColor(background);
    item.accessibilityInformation = { label: `TensorRT: ${describe(worker.state)}` };
    const loaded = worker.loadedEngines.map((engine) => `- \`${engine.path}\``).join("\n");
    const tooltip = new vscode.MarkdownString(
      [
        describe(worker.state),
        ...(loaded === "" ? [] : [`${vscode.l10n.t("Engines in memory:")}\n${loaded}`]),
        `[${vscode.l10n.t("Restart Engine Worker")}](command:tensorrt.restartWorker) · ` +
          `[${vscode.l10n.t("Show Log")}](command:tensorrt.showLog) · [${vscode.l10n.t("Doctor")}](command:tensorrt.doctor)`,
      ].join("\n\n"),
    );
    tooltip.isTrusted = { enabledCommands: ["tensorrt.restartWorker", "tensorrt.showLog", "tensorrt.doctor"] };
    item.tooltip = tooltip;
  };
  update();
  item.show();
  return vscode.Disposable.from(item, worker.onDidChangeState(update), worker.onDidChangeEngines(update));
}
