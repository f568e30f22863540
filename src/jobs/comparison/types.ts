import type { LayerPlace } from "../inspection/types.ts";

/** What two changes of one weight have in common. Norms are Frobenius norms; absent numbers could not be computed, see `reason`. */
export interface LayerComparison extends LayerPlace {
  readonly name: string;
  readonly in: "both" | "a" | "b";
  readonly shape?: readonly number[];
  readonly rankA?: number;
  readonly rankB?: number;
  readonly normA?: number;
  readonly normB?: number;
  /** ‖B‖ / ‖A‖. */
  readonly ratio?: number;
  /** ⟨A, B⟩ / (‖A‖·‖B‖), −1 to 1. */
  readonly cosine?: number;
  /** ‖B − A‖. */
  readonly difference?: number;
  /** ‖W‖ of the base. */
  readonly baseNorm?: number;
  /** ‖A‖ / ‖W‖, ‖B‖ / ‖W‖ and ‖B − A‖ / ‖W‖ with the base's weight W. */
  readonly relativeA?: number;
  readonly relativeB?: number;
  readonly relativeDifference?: number;
  /**
   * Overlap of the spaces that the changes write to (outputs) and read from (inputs), 0 to 1: Σ cos²θᵢ / min(r_A, r_B) over the
   * principal angles θ between them, which is ‖Q_Aᵀ·Q_B‖² / min(r_A, r_B) with orthonormal bases Q (Hu et al., LoRA, arXiv:2106.09685,
   * section 7.2, equation 4). Of low-rank changes alone; r counts the singular values above rounding.
   */
  readonly overlapOutputs?: number;
  readonly overlapInputs?: number;
  readonly reason?: string;
}

/** All layers as one vector. */
export interface ComparisonTotals {
  readonly layersInBoth: number;
  readonly layersInA: number;
  readonly layersInB: number;
  readonly normA: number;
  readonly normB: number;
  readonly difference: number;
  /** Absent where one side is zero. */
  readonly cosine?: number;
  readonly ratio?: number;
}

/** What follows from the files' contents alone. */
export interface ComparisonNumbers {
  readonly layers: readonly LayerComparison[];
  readonly totals: ComparisonTotals;
}

export interface CompareResult extends ComparisonNumbers {
  /** What each side is made of: "ink.safetensors × 0.8". B is empty where A is compared with no change at all. */
  readonly a: readonly string[];
  readonly b: readonly string[];
  /** Path of the base; absent where there is none with numbers. */
  readonly base?: string;
  readonly notes: readonly string[];
}

/** A comparison whose layers can be looked into; `state` tells whether its files are still the ones that were compared. */
export interface OpenedComparison {
  readonly result: CompareResult;
  readonly state: string;
}

/** What the two sides make of one weight. Without B the difference is what A changes. */
export interface ComparisonDetail {
  readonly comparison: LayerComparison;
  /** Of the weight as a matrix: output channels × (input channels · kernel); 0 where it is not known. */
  readonly rows: number;
  readonly columns: number;
  /** Singular values in falling order, of each side that changes the weight and of B − A. */
  readonly singularValuesA?: readonly number[];
  readonly singularValuesB?: readonly number[];
  readonly singularValuesDifference?: readonly number[];
  /** Why some of them are missing. */
  readonly spectrumReason?: string;
  /** The largest magnitude of an element of B − A; absent where there is none, see the comparison's `reason`. */
  readonly maximum?: number;
}
