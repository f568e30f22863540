import * as vscode from "vscode";
import type { InspectorTexts } from "../../webview/inspector/protocol.ts";
import { sharedTexts } from "./sharedTexts.ts";

/** All that the inspector says. */
export function inspectorTexts(): InspectorTexts {
  return { ...sharedTexts(), ...fileTexts(), ...overviewTexts(), ...columnTexts(), ...figureTexts(), ...metadataTexts() };
}

type FileTexts = Pick<
  InspectorTexts,
  | "tensors"
  | "metadata"
  | "opening"
  | "failed"
  | "computing"
  | "computed"
  | "resume"
  | "compute"
  | "stopped"
  | "baseMadeFor"
  | "baseOnlyFit"
  | "badLayers"
  | "kindLora"
  | "kindDelta"
  | "kindCheckpoint"
  | "kindSafetensors"
>;

function fileTexts(): FileTexts {
  return {
    tensors: vscode.l10n.t("Tensors"),
    metadata: vscode.l10n.t("Metadata"),
    opening: vscode.l10n.t("Opening {0}…"),
    failed: vscode.l10n.t("{0} cannot be shown"),
    computing: vscode.l10n.t("Computing: {0} of {1}"),
    computed: vscode.l10n.t("Layers computed"),
    resume: vscode.l10n.t("Go on"),
    compute: vscode.l10n.t("Compute the numbers (reads {0})"),
    stopped: vscode.l10n.t("Stopped at {0} of {1}"),
    baseMadeFor: vscode.l10n.t("Measured against {0}, which it was made for"),
    baseOnlyFit: vscode.l10n.t("Measured against {0}, the only model here that fits"),
    badLayers: vscode.l10n.t("Layers with NaN or infinite values: {0}"),
    kindLora: vscode.l10n.t("LoRA"),
    kindDelta: vscode.l10n.t("Delta"),
    kindCheckpoint: vscode.l10n.t("Checkpoint"),
    kindSafetensors: vscode.l10n.t("Tensors"),
  };
}

type OverviewTexts = Pick<
  InspectorTexts,
  | "rank"
  | "ranks"
  | "parameters"
  | "totalNorm"
  | "measureRelative"
  | "measureAbsolute"
  | "mapTitle"
  | "mapRelativeLegend"
  | "mapAbsoluteLegend"
  | "mapTensorLegend"
  | "strongest"
>;

function overviewTexts(): OverviewTexts {
  return {
    rank: vscode.l10n.t("Rank"),
    ranks: vscode.l10n.t("Ranks"),
    parameters: vscode.l10n.t("Parameters"),
    totalNorm: vscode.l10n.t("Norm of all"),
    measureRelative: vscode.l10n.t("Relative"),
    measureAbsolute: vscode.l10n.t("Absolute"),
    mapTitle: vscode.l10n.t("Where it acts"),
    mapRelativeLegend: vscode.l10n.t("‖Δ‖ / ‖W‖, the change relative to the weights"),
    mapAbsoluteLegend: vscode.l10n.t("‖Δ‖, Frobenius norm of the change at strength 1"),
    mapTensorLegend: vscode.l10n.t("‖W‖, Frobenius norm of the tensors"),
    strongest: vscode.l10n.t("Largest changes"),
  };
}

type ColumnTexts = Pick<InspectorTexts, Extract<keyof InspectorTexts, `column${string}` | `about${string}`>>;

function columnTexts(): ColumnTexts {
  return {
    columnName: vscode.l10n.t("Layer"),
    columnKind: vscode.l10n.t("Kind"),
    columnShape: vscode.l10n.t("Shape"),
    columnDtype: vscode.l10n.t("Dtype"),
    columnRank: vscode.l10n.t("Rank"),
    columnEffectiveRank: vscode.l10n.t("Effective rank"),
    columnAlpha: vscode.l10n.t("Alpha"),
    columnNorm: vscode.l10n.t("Norm"),
    columnRelative: vscode.l10n.t("Relative norm"),
    columnSpectral: vscode.l10n.t("Spectral norm"),
    columnMaximum: vscode.l10n.t("Maximum"),
    columnMean: vscode.l10n.t("Mean"),
    columnSparsity: vscode.l10n.t("Sparsity"),
    columnNan: vscode.l10n.t("NaN, Inf"),
    aboutEffectiveRank: vscode.l10n.t("exp of the entropy of the singular values over their sum (Roy and Vetterli, 2007)"),
    aboutNorm: vscode.l10n.t("Frobenius norm ‖Δ‖ at strength 1"),
    aboutRelative: vscode.l10n.t("‖Δ‖ / ‖W‖ with the base's weight W"),
    aboutSpectral: vscode.l10n.t("The largest singular value"),
    aboutMaximum: vscode.l10n.t("The largest magnitude of an element"),
    aboutMean: vscode.l10n.t("The mean of all elements"),
    aboutSparsity: vscode.l10n.t("Share of the elements that are zero"),
    aboutNan: vscode.l10n.t("Values that are no finite numbers"),
  };
}

type FigureTexts = Pick<
  InspectorTexts,
  "histogram" | "histogramX" | "histogramY" | "logScale" | "spectrumEnergy" | "topRows" | "topColumns" | "index" | "norm"
>;

function figureTexts(): FigureTexts {
  return {
    histogram: vscode.l10n.t("Values"),
    histogramX: vscode.l10n.t("value of the element"),
    histogramY: vscode.l10n.t("elements"),
    logScale: vscode.l10n.t("Logarithmic"),
    spectrumEnergy: vscode.l10n.t("energy, share of ‖Δ‖²"),
    topRows: vscode.l10n.t("Largest rows (outputs)"),
    topColumns: vscode.l10n.t("Largest columns (inputs)"),
    index: vscode.l10n.t("Index"),
    norm: vscode.l10n.t("Norm"),
  };
}

type MetadataTexts = Pick<
  InspectorTexts,
  "triggerWords" | "trainingSettings" | "tagFrequency" | "tag" | "count" | "allMetadata" | "noMetadata" | "key" | "value" | "showAll"
>;

function metadataTexts(): MetadataTexts {
  return {
    triggerWords: vscode.l10n.t("Trigger words"),
    trainingSettings: vscode.l10n.t("Training"),
    tagFrequency: vscode.l10n.t("Tags of the training pictures"),
    tag: vscode.l10n.t("Tag"),
    count: vscode.l10n.t("Pictures"),
    allMetadata: vscode.l10n.t("All metadata"),
    noMetadata: vscode.l10n.t("The file has no metadata."),
    key: vscode.l10n.t("Key"),
    value: vscode.l10n.t("Value"),
    showAll: vscode.l10n.t("Show everything"),
  };
}
