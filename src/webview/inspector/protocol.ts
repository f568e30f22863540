import type { HeatMapTile, InspectionHeader, LayerDetail, LayerStatistics, TilePlace } from "../../jobs/inspection/types.ts";
import type { FileRequests } from "../shared/protocol.ts";
import type { DetailTexts, GridTexts, MapTexts, PageTexts } from "../shared/texts.ts";

/** What the inspector and the extension host say to each other. */
export interface InspectorProtocol {
  readonly requests: FileRequests & {
    /** Reads the header; everything asked for before is forgotten. */
    readonly open: { readonly params: null; readonly result: InspectedFile };
    readonly statistics: { readonly params: { readonly layers: readonly number[] }; readonly result: readonly LayerStatistics[] };
    readonly detail: { readonly params: { readonly layer: number }; readonly result: LayerDetail };
    readonly tile: {
      readonly params: TilePlace & { readonly layer: number };
      readonly result: HeatMapTile;
    };
    /** Asks the person which model changes are measured against; true where another is to be used. */
    readonly chooseBase: { readonly params: null; readonly result: boolean };
  };
  readonly events: {
    /** The file or its base is another now: open it again. */
    readonly changed: null;
  };
}

export interface InspectedFile {
  readonly header: InspectionHeader;
  /** Why the header's base is what changes are measured against; absent where it has none. */
  readonly baseReason?: "chosen" | "madeFor" | "onlyFit";
}

export interface InspectorStart {
  readonly fileName: string;
}

/** What the inspector says, in the person's language; {0} stands for what is put in. */
export interface InspectorTexts extends PageTexts, GridTexts, MapTexts, DetailTexts {
  readonly tensors: string;
  readonly metadata: string;
  readonly opening: string;
  readonly failed: string;
  readonly computing: string;
  readonly computed: string;
  readonly resume: string;
  readonly compute: string;
  readonly stopped: string;
  readonly baseMadeFor: string;
  readonly baseOnlyFit: string;
  readonly badLayers: string;
  readonly kindLora: string;
  readonly kindDelta: string;
  readonly kindCheckpoint: string;
  readonly kindSafetensors: string;
  readonly rank: string;
  readonly ranks: string;
  readonly parameters: string;
  readonly totalNorm: string;
  readonly measureRelative: string;
  readonly measureAbsolute: string;
  readonly mapTitle: string;
  readonly mapRelativeLegend: string;
  readonly mapAbsoluteLegend: string;
  readonly mapTensorLegend: string;
  readonly strongest: string;
  readonly columnName: string;
  readonly columnKind: string;
  readonly columnShape: string;
  readonly columnDtype: string;
  readonly columnRank: string;
  readonly columnEffectiveRank: string;
  readonly columnAlpha: string;
  readonly columnNorm: string;
  readonly columnRelative: string;
  readonly columnSpectral: string;
  readonly columnMaximum: string;
  readonly columnMean: string;
  readonly columnSparsity: string;
  readonly columnNan: string;
  readonly aboutEffectiveRank: string;
  readonly aboutNorm: string;
  readonly aboutRelative: string;
  readonly aboutSpectral: string;
  readonly aboutMaximum: string;
  readonly aboutMean: string;
  readonly aboutSparsity: string;
  readonly aboutNan: string;
  readonly histogram: string;
  readonly histogramX: string;
  readonly histogramY: string;
  readonly logScale: string;
  readonly spectrumEnergy: string;
  readonly topRows: string;
  readonly topColumns: string;
  readonly index: string;
  readonly norm: string;
  readonly triggerWords: string;
  readonly trainingSettings: string;
  readonly tagFrequency: string;
  readonly tag: string;
  readonly count: string;
  readonly allMetadata: string;
  readonly noMetadata: string;
  readonly key: string;
  readonly value: string;
  readonly showAll: string;
}
