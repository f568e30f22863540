import type { CompareResult, ComparisonDetail } from "../../jobs/comparison/types.ts";
import type { HeatMapTile, TilePlace } from "../../jobs/inspection/types.ts";
import type { FileRequests } from "../shared/protocol.ts";
import type { DetailTexts, GridTexts, MapTexts, PageTexts } from "../shared/texts.ts";

/** One LoRA or delta of a side, as the jobs take it. */
export interface ComparedFile {
  readonly file: string;
  readonly scale?: number | undefined;
  readonly textEncoderScale?: number | undefined;
  readonly blockWeights?: string | undefined;
}

/** What is compared: two stacks; an empty `b` is no change at all. */
export interface Comparison {
  readonly a: readonly ComparedFile[];
  readonly b: readonly ComparedFile[];
  readonly base?: string | undefined;
}

/** What the comparison's page and the extension host say to each other. */
export interface CompareProtocol {
  readonly requests: FileRequests & {
    readonly compare: {
      readonly params: null;
      readonly result: CompareResult;
      /** 0 to 1. */
      readonly progress: number;
    };
    /** Of a layer, by its name, of what was compared last. */
    readonly detail: { readonly params: { readonly layer: string }; readonly result: ComparisonDetail };
    /** A part of the map of the layer's difference. */
    readonly tile: { readonly params: TilePlace & { readonly layer: string }; readonly result: HeatMapTile };
    /** Asks the person for the model that changes are measured against; what is compared from now on, null where nothing changes. */
    readonly chooseBase: { readonly params: null; readonly result: Comparison | null };
    /** The other way round. */
    readonly swap: { readonly params: null; readonly result: Comparison };
  };
  /** There is none. */
  readonly events: object;
}

export interface CompareTexts extends PageTexts, GridTexts, MapTexts, DetailTexts {
  readonly title: string;
  readonly stackTitle: string;
  readonly comparing: string;
  readonly failed: string;
  readonly stopped: string;
  readonly swap: string;
  readonly inBoth: string;
  readonly onlyInA: string;
  readonly onlyInB: string;
  readonly normA: string;
  readonly normB: string;
  readonly difference: string;
  readonly cosine: string;
  readonly ratio: string;
  readonly mapTitle: string;
  readonly measureDifference: string;
  readonly measureCosine: string;
  readonly measureOverlap: string;
  readonly legendDifference: string;
  readonly legendRelativeDifference: string;
  readonly legendCosine: string;
  readonly legendOverlap: string;
  readonly columnName: string;
  readonly columnIn: string;
  readonly columnShape: string;
  readonly columnRankA: string;
  readonly columnRankB: string;
  readonly columnRelativeA: string;
  readonly columnRelativeB: string;
  readonly columnRelativeDifference: string;
  readonly columnOverlapOutputs: string;
  readonly columnOverlapInputs: string;
  readonly columnReason: string;
  readonly aboutCosine: string;
  readonly aboutDifference: string;
  readonly aboutOverlap: string;
  readonly aboutRelative: string;
  readonly overlapOutputs: string;
  readonly overlapInputs: string;
  readonly differenceMap: string;
  readonly changeMap: string;
  readonly both: string;
}
