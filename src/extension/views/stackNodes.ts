import * as vscode from "vscode";
import type { AppliedStack } from "../../worker/protocol.ts";
import type { CommandId, ViewItem } from "../contributions.ts";
import type { StackEntry } from "../stack/entries.ts";
import { type FileNode, WARNING } from "./nodes.ts";
import { factsTooltip, formatScale, joined, loraName } from "./texts.ts";

/** A row of the stack; `uri` is that of the LoRA or delta. */
export interface StackNode extends FileNode {
  readonly engine: string;
}

/** The row of an empty stack, which a person starts from. */
export interface EmptyStackNode {
  readonly kind: "emptyStack";
  readonly item: vscode.TreeItem;
}

/** @param applied what the last change of the stack did; undefined where it has not been applied */
export function stackNode(engine: string, entry: StackEntry, applied: AppliedStack | undefined, problem: string | undefined): StackNode {
  const { file, scale, textEncoderScale, blockWeights, enabled } = entry;
  const name = loraName(file);
  const item = new vscode.TreeItem(name, vscode.TreeItemCollapsibleState.None);
  const report = applied?.loras.find((lora) => lora.file === file);
  const weights = report && vscode.l10n.t("{0} weights", report.matched);
  item.id = `stack:${engine}:${file}`;
  item.description = joined([
    `× ${formatScale(scale)}`,
    textEncoderScale === undefined ? undefined : vscode.l10n.t("text × {0}", formatScale(textEncoderScale)),
    blockWeights === undefined ? undefined : vscode.l10n.t("blocks"),
    enabled ? weights : vscode.l10n.t("off"),
  ]);
  const own = problem?.includes(file) ? problem : undefined;
  item.iconPath = own !== undefined || (report?.unmatched.length ?? 0) > 0 ? WARNING : new vscode.ThemeIcon("layers");
  item.checkboxState = {
    state: enabled ? vscode.TreeItemCheckboxState.Checked : vscode.TreeItemCheckboxState.Unchecked,
    tooltip: enabled ? vscode.l10n.t("Switch {0} off", name) : vscode.l10n.t("Switch {0} on", name),
  };
  item.tooltip = factsTooltip(
    name,
    [
      [vscode.l10n.t("Scale"), formatScale(scale)],
      [vscode.l10n.t("Scale on the text encoders"), textEncoderScale === undefined ? undefined : formatScale(textEncoderScale)],
      [vscode.l10n.t("Block weights"), blockWeights],
      [vscode.l10n.t("Weights that it changes"), report && String(report.matched)],
      [vscode.l10n.t("Keys that were left out"), report && report.unmatched.length > 0 ? String(report.unmatched.length) : undefined],
      [vscode.l10n.t("File"), file],
    ],
    [...(own === undefined ? [] : [own]), ...(report?.warnings ?? [])],
  );
  item.contextValue = "stackEntry" satisfies ViewItem;
  return { engine, uri: vscode.Uri.file(file), kind: "stackEntry", item };
}

/** A view without rows takes no drop: that of an empty stack has this one. */
export function emptyStackNode(engine: string): EmptyStackNode {
  const item = new vscode.TreeItem(vscode.l10n.t("Add to Stack…"), vscode.TreeItemCollapsibleState.None);
  item.id = `emptyStack:${engine}`;
  item.iconPath = new vscode.ThemeIcon("add");
  item.command = { command: "tensorrt.addToStack" satisfies CommandId, title: vscode.l10n.t("Add to Stack…") };
  return { kind: "emptyStack", item };
}
