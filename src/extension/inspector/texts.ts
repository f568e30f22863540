import * as vscode from "vscode";
import type { InspectorTexts } from "../../webview/inspector/protocol.ts";
import type { FigureTexts, GridTexts, MapTexts, PageTexts } from "../../webview/shared/texts.ts";

/** Texts of the parts that the inspector and the comparison share. */
export function sharedTexts(): PageTexts & GridTexts & MapTexts & FigureTexts {
  return {
    overview: vscode.l10n.t("Overview"),
    layers: vscode.l10n.t("Layers"),
    tryAgain: vscode.l10n.t("Try Again"),
    stop: vscode.l10n.t("Stop"),
    base: vscode.l10n.t("Measured against {0}"),
    noBase: vscode.l10n.t("No base chosen"),
    chooseBase: vscode.l10n.t("Choose Base…"),
    notes: vscode.l10n.t("To be known"),
    filter: vscode.l10n.t("Filter, for example: attn2 norm>0.5"),
    filterHelp: vscode.l10n.t("Words that must all be there, and numbers that columns must have: norm>0.5 rank<=8"),
    shown: vscode.l10n.t("{0} of {1}"),
    nothingFits: vscode.l10n.t("No layer fits the filter."),
    copyCsv: vscode.l10n.t("Copy as CSV"),
    copyJson: vscode.l10n.t("Copy as JSON"),
    copied: vscode.l10n.t("Copied."),
    componentUnet: vscode.l10n.t("UNet"),
    componentTransformer: vscode.l10n.t("Transformer"),
    componentTextEncoder: vscode.l10n.t("Text encoder"),
    componentTextEncoder2: vscode.l10n.t("Text encoder 2"),
    componentTextEncoder3: vscode.l10n.t("Text encoder 3"),
    componentVae: vscode.l10n.t("VAE"),
    componentOther: vscode.l10n.t("Elsewhere"),
    block: vscode.l10n.t("Block"),
    blockTotal: vscode.l10n.t("Whole block"),
    other: vscode.l10n.t("other"),
    notYet: vscode.l10n.t("no number"),
    mapCell: vscode.l10n.t("{0}, {1}: {2}, layers: {3}"),
    mapHelp: vscode.l10n.t("Each square is the layers of one kind in one block; their number is in it. Choose one to see them."),
    savePng: vscode.l10n.t("Save as PNG"),
    saveSvg: vscode.l10n.t("Save as SVG"),
    saved: vscode.l10n.t("Saved."),
  };
}

/** All that the inspector says. */
export function inspectorTexts(): InspectorTexts {
  return { ...sharedTexts(), ...fileTexts(), ...overviewTexts(), ...columnTexts(), ...detailTexts(), ...metadataTexts() };
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

type DetailTexts = Pick<
  InspectorTexts,
  | "detailOf"
  | "close"
  | "reading"
  | "logScale"
  | "zoomIn"
  | "zoomOut"
  | "zoomFit"
  | "topRows"
  | "topColumns"
  | "index"
  | "norm"
  | Extract<keyof InspectorTexts, `histogram${string}` | `spectrum${string}` | `heatMap${string}`>
>;

function detailTexts(): DetailTexts {
  return {
    detailOf: vscode.l10n.t("Detail of the layer"),
    close: vscode.l10n.t("Close"),
    reading: vscode.l10n.t("Reading the layer…"),
    histogram: vscode.l10n.t("Values"),
    histogramX: vscode.l10n.t("value of the element"),
    histogramY: vscode.l10n.t("elements"),
    logScale: vscode.l10n.t("Logarithmic"),
    spectrum: vscode.l10n.t("Singular values"),
    spectrumX: vscode.l10n.t("number"),
    spectrumY: vscode.l10n.t("singular value"),
    spectrumEnergy: vscode.l10n.t("energy, share of ‖Δ‖²"),
    heatMap: vscode.l10n.t("As a picture"),
    heatMapHelp: vscode.l10n.t("Plus, minus and 0 zoom, the arrow keys move."),
    heatMapValue: vscode.l10n.t("row {0}, column {1}: {2}"),
    heatMapScale: vscode.l10n.t("rows are outputs, columns inputs; colours by the root of the value"),
    zoomIn: vscode.l10n.t("Zoom In"),
    zoomOut: vscode.l10n.t("Zoom Out"),
    zoomFit: vscode.l10n.t("Show All"),
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
