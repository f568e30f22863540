import { changeTensor, type ChangeSource } from "../formats/delta-writer.ts";
import { fromFloat32, toFloat32 } from "../formats/numbers.ts";
import { relativeNorm } from "../lora/combine-loras.ts";
import { convertVersion1 } from "../lora/convert-version-1.ts";
import { MatrixProducts } from "../lora/linear-algebra/matrix-products.ts";
import { truncatedSvd } from "../lora/linear-algebra/truncated-svd.ts";
import type { Truncation } from "../lora/linear-algebra/truncation.ts";
import { sumOfSquares } from "../lora/linear-algebra/vectors.ts";
import type { DeltaReport } from "../lora/make-delta.ts";
import { matrixSize } from "../lora/merge.ts";
import { baseReader, describeBase } from "./base-description.ts";
import type { JobContext } from "./context.ts";
import type { OpenedBundle } from "./engine-cache.ts";
import type { DeltaOptions } from "./options.ts";
import type { DeltaResult } from "./results.ts";
import { stageProgress } from "./timing.ts";

/** What a conversion is told besides the options. */
export interface Conversion {
  readonly file: string;
  readonly loraHash: string;
  /** One sentence for each thing that is odd. */
  readonly warningsOf: (report: DeltaReport) => string[];
}

/** Converts a delta of version 1; with a rank or an energy its changes are kept as factors, with the error stated. */
export async function convertDelta(
  { lora, rank, energy, strength }: DeltaOptions,
  opened: OpenedBundle,
  { file, loraHash, warningsOf }: Conversion,
  context: JobContext,
): Promise<DeltaResult> {
  const compressor = rank === undefined && energy === undefined ? undefined : new Compressor({ rank, energy });
  const { changed, unmatched, suspicious } = await convertVersion1(lora, file, describeBase(opened), baseReader(opened), {
    strength,
    loraHash,
    compress: compressor && ((name, shape, values) => compressor.compress(name, shape, values)),
    signal: context.signal,
    onRead: stageProgress(context, compressor ? "decomposing" : "reading the delta"),
    onProgress: stageProgress(context, "writing the delta"),
  });
  const error = compressor?.error();
  const stated = error === undefined ? [] : [`the factors differ from the changes by ${error.toExponential(2)} of their norm`];
  const warnings = [...warningsOf({ matched: changed, unmatched, suspicious }), ...stated];
  for (const warning of warnings) context.log("warn", warning);
  return { file, cached: false, matched: changed, unmatched, warnings };
}

/** Keeps changes as factors in fp16, and what that drops. */
class Compressor {
  readonly #truncation: Truncation;
  readonly #products = new MatrixProducts();
  #dropped = 0;
  #total = 0;

  constructor(truncation: Truncation) {
    this.#truncation = truncation;
  }

  async compress(name: string, shape: readonly number[], values: Float32Array): Promise<ChangeSource> {
    const { rows, columns } = matrixSize(shape);
    const { rank, up, down } = await truncatedSvd(this.#products, { rows, columns, values }, this.#truncation);
    const rounded = (factor: Float32Array) => toFloat32(fromFloat32(factor, "F16"), "F16");
    const product = await this.#products.multiply(
      { rows, columns: rank, values: rounded(up) },
      { rows: rank, columns, values: rounded(down) },
    );
    for (let i = 0; i < values.length; i++) this.#dropped += (values[i]! - product.values[i]!) ** 2;
    this.#total += sumOfSquares(values);
    return { name, kind: "lowRank", up: changeTensor(up, [rows, rank], "F16"), down: changeTensor(down, [rank, columns], "F16") };
  }

  /** Frobenius norm of what was dropped of all changes, relative to theirs. */
  error(): number {
    return relativeNorm(this.#dropped, this.#total);
  }
}
