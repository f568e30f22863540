import * as vscode from "vscode";
import type { DoctorAction, DoctorItem, DoctorReport, DoctorTexts } from "../../webview/doctor/protocol.ts";
import type { Jobs } from "../../worker/protocol.ts";

type Result = Jobs["doctor"]["result"];
type Finding = Result["findings"][number];

/** What can be done about a finding, by its name. */
const ACTIONS: Readonly<Record<string, readonly DoctorAction[]>> = {
  TensorRT: ["libraryPath", "pythonPath"],
  "TensorRT-RTX": ["install", "libraryPath"],
};

/** Engines stand apart from the machine's own parts. */
function isEngine({ name }: Finding): boolean {
  return name.startsWith("Engine ");
}

function stateText(state: Finding["state"]): string {
  const words: Readonly<Record<Finding["state"], string>> = {
    found: vscode.l10n.t("found"),
    missing: vscode.l10n.t("not found"),
    unusable: vscode.l10n.t("not usable here"),
  };
  return words[state];
}

function toItem(finding: Finding): DoctorItem {
  const actions = finding.state === "missing" ? (ACTIONS[finding.name] ?? []) : [];
  return { ...finding, stateText: stateText(finding.state), actions };
}

/** What engines run with here: the first of these that was found. */
function verdictOf({ findings }: Result): string {
  const found = ["TensorRT", "TensorRT-RTX"].find((name) => findings.some((each) => each.name === name && each.state === "found"));
  if (found !== undefined) return vscode.l10n.t("Engines run on the GPU, with {0}.", found);
  const hasOnnxRuntime = findings.some(({ name, state }) => name.startsWith("ONNX Runtime") && state === "found");
  if (hasOnnxRuntime) return vscode.l10n.t("Engines run on the processor, with ONNX Runtime.");
  return vscode.l10n.t("No engine can run here: neither TensorRT nor ONNX Runtime was found.");
}

export function toReport(result: Result): DoctorReport {
  return {
    platform: `TensorRT Redux ${result.version} · ${result.platform}`,
    verdict: verdictOf(result),
    machine: result.findings.filter((each) => !isEngine(each)).map(toItem),
    engines: result.findings.filter(isEngine).map(toItem),
  };
}

export function doctorTexts(): DoctorTexts {
  return {
    title: vscode.l10n.t("Doctor"),
    machine: vscode.l10n.t("This machine"),
    engines: vscode.l10n.t("Engines in memory"),
    tried: vscode.l10n.t("Places looked in ({0})"),
    lookAgain: vscode.l10n.t("Look Again"),
    looking: vscode.l10n.t("Looking…"),
    copy: vscode.l10n.t("Copy as Text"),
    actions: {
      install: vscode.l10n.t("Install TensorRT-RTX"),
      libraryPath: vscode.l10n.t("Set Library Folder"),
      pythonPath: vscode.l10n.t("Set Python"),
      restart: vscode.l10n.t("Restart Engine Worker"),
      log: vscode.l10n.t("Show Log"),
      settings: vscode.l10n.t("Open Settings"),
    },
  };
}
