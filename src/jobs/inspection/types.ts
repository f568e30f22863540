import type { Architecture } from "../../models/architecture.ts";

/*
 * What looking inside a file gives, types alone: they pass from the worker to the extension and on to its webviews.
 */

/** Where a layer stands in its network: a row and a column of the map. */
export interface LayerPlace {
  /** "unet", "transformer", "text_encoder", …, or "other" where the name does not tell. */
  readonly component: string;
  /** "IN 4", "MID", "OUT 11", "double 3", "layer 7"; "other" outside of the blocks. */
  readonly block: string;
  /** "attn1 q", "ff in", "conv 1"; "other" where the name does not tell. */
  readonly role: string;
}

/** A layer of a LoRA or delta, or a tensor of any other file, as the header alone describes it. */
export interface LayerDescription extends LayerPlace {
  readonly name: string;
  /** Of the weight that is changed; absent where the file alone does not tell. */
  readonly shape?: readonly number[];
  readonly dtype: string;
  /** The kind of update as reports name it ("LoRA", "DoRA of LoHa"); "tensor" where the file is no adapter. */
  readonly kind: string;
  readonly rank?: number;
  readonly alpha?: number;
}

/** The model that changes are measured against. */
export interface BaseSummary {
  /** A bundle's folder or a checkpoint; absent for the published layout of an architecture, which has no numbers. */
  readonly path?: string;
  readonly name: string;
  /** How many of its weights the file changes. */
  readonly weights: number;
}

/** A file to look into. */
export interface InspectionTarget {
  readonly path: string;
  /** An engine bundle's folder or a checkpoint; absent: the published layout of the architecture, which has no numbers. */
  readonly base?: string | undefined;
  /** Folder for statistics, by what the files hold; absent: they are kept in memory alone. */
  readonly cache?: string | undefined;
}

/** A layer of a file that has been opened; `state` is its header's. */
export interface LayerTarget extends InspectionTarget {
  readonly state: string;
}

export interface InspectionHeader {
  readonly path: string;
  readonly kind: "checkpoint" | "lora" | "delta" | "safetensors";
  readonly architecture?: Architecture;
  readonly architectureLabel?: string;
  readonly bytes: number;
  /** Tells whether the file is still the one that was opened. */
  readonly state: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly notes: readonly string[];
  readonly layers: readonly LayerDescription[];
  readonly base?: BaseSummary;
  /** Of the checkpoint that a delta was made for. */
  readonly baseFingerprint?: string;
}

/**
 * The numbers of one layer: of the change W' − W at strength 1, or of the tensor where the file is no adapter. Absent ones could not
 * be computed; `reason` says why.
 */
export interface LayerStatistics {
  readonly name: string;
  /** As in `LayerDescription`. */
  readonly kind: string;
  readonly rank?: number;
  readonly alpha?: number;
  /** Frobenius norm ‖Δ‖. */
  readonly norm?: number;
  /** ‖Δ‖ / ‖W‖ with the base's weight W. */
  readonly relativeNorm?: number;
  /** ‖W‖. */
  readonly baseNorm?: number;
  /** The largest singular value. */
  readonly spectralNorm?: number;
  /** exp(H(p)), p the singular values over their sum (Roy and Vetterli, EUSIPCO 2007). */
  readonly effectiveRank?: number;
  /** The largest magnitude. */
  readonly maximum?: number;
  readonly mean?: number;
  /** Share of the elements that are zero, 0 to 1. */
  readonly sparsity?: number;
  /** Stored values that are NaN, and infinite ones. */
  readonly nan: number;
  readonly infinite: number;
  readonly reason?: string;
}

/** A row or column by its Frobenius norm. */
export interface VectorNorm {
  readonly index: number;
  readonly norm: number;
}

export interface LayerDetail {
  readonly statistics: LayerStatistics;
  /** Rows and columns of the layer as a matrix: output channels × (input channels · kernel). */
  readonly rows: number;
  readonly columns: number;
  /** Counts in bins of one width from −maximum to maximum. */
  readonly histogram?: { readonly from: number; readonly to: number; readonly counts: readonly number[] };
  /** In falling order. */
  readonly singularValues?: readonly number[];
  /** Why there are none. */
  readonly spectrumReason?: string;
  /** The largest, in falling order. */
  readonly topRows?: readonly VectorNorm[];
  readonly topColumns?: readonly VectorNorm[];
}

/** A square of the change as seen from a distance: each pixel is the value of largest magnitude of 2^level × 2^level elements. */
export interface HeatMapTile {
  readonly width: number;
  readonly height: number;
  /** width · height float32, little-endian, row-major, in base64. */
  readonly values: string;
}

/** Tile (x, y), from the left and from the top, of a level. */
export interface TilePlace {
  readonly level: number;
  readonly x: number;
  readonly y: number;
}

/** Pixels of a heat map's tile on a side. */
export type TileSize = 256;
