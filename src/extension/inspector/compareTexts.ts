import * as vscode from "vscode";
import type { CompareTexts } from "../../webview/compare/protocol.ts";
import { sharedTexts } from "./texts.ts";

/** All that a comparison says. */
export function compareTexts(): CompareTexts {
  return {
    ...sharedTexts(),
    title: vscode.l10n.t("Comparison"),
    stackTitle: vscode.l10n.t("What this would change"),
    comparing: vscode.l10n.t("Comparing the layers: {0} %"),
    failed: vscode.l10n.t("The comparison was not made"),
    stopped: vscode.l10n.t("It was stopped."),
    swap: vscode.l10n.t("Swap A and B"),
    inBoth: vscode.l10n.t("In both"),
    onlyInA: vscode.l10n.t("Only in A"),
    onlyInB: vscode.l10n.t("Only in B"),
    normA: vscode.l10n.t("‖A‖"),
    normB: vscode.l10n.t("‖B‖"),
    difference: vscode.l10n.t("‖B − A‖"),
    cosine: vscode.l10n.t("Cosine"),
    ratio: vscode.l10n.t("‖B‖ / ‖A‖"),
    mapTitle: vscode.l10n.t("Where they differ"),
    measureDifference: vscode.l10n.t("Difference"),
    measureCosine: vscode.l10n.t("Cosine"),
    measureOverlap: vscode.l10n.t("Overlap"),
    legendDifference: vscode.l10n.t("‖B − A‖, Frobenius norm of the difference"),
    legendRelativeDifference: vscode.l10n.t("‖B − A‖ / ‖W‖, the difference relative to the weights"),
    legendCosine: vscode.l10n.t("cosine of the changes: 1 is the same direction; below 0 is shown as 0"),
    legendOverlap: vscode.l10n.t("overlap of what they write to and read from, 0 to 1"),
    columnName: vscode.l10n.t("Layer"),
    columnIn: vscode.l10n.t("In"),
    columnShape: vscode.l10n.t("Shape"),
    columnRankA: vscode.l10n.t("Rank of A"),
    columnRankB: vscode.l10n.t("Rank of B"),
    columnRelativeA: vscode.l10n.t("‖A‖ / ‖W‖"),
    columnRelativeB: vscode.l10n.t("‖B‖ / ‖W‖"),
    columnRelativeDifference: vscode.l10n.t("‖B − A‖ / ‖W‖"),
    columnOverlapOutputs: vscode.l10n.t("Outputs"),
    columnOverlapInputs: vscode.l10n.t("Inputs"),
    columnReason: vscode.l10n.t("Why not"),
    aboutCosine: vscode.l10n.t("⟨A, B⟩ / (‖A‖·‖B‖), −1 to 1"),
    aboutDifference: vscode.l10n.t("Frobenius norm of what B changes otherwise than A"),
    aboutOverlap: vscode.l10n.t("Σ cos² of the principal angles between the spaces / the smaller rank (Hu et al., 2021, section 7.2)"),
    aboutRelative: vscode.l10n.t("With the base's weight W"),
    both: vscode.l10n.t("both"),
  };
}
