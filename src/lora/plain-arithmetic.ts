import { throwIfCancelled } from "../formats/errors.ts";
import { addDense, joinLowRank, type JoinedFactors, type LinearArithmetic, type MergeJob } from "./merge.ts";

/** The merge in JavaScript alone, for where nothing native may be loaded. Sums are in fp32, as everywhere. */
export class PlainArithmetic implements LinearArithmetic {
  async merge(jobs: readonly MergeJob[], signal?: AbortSignal): Promise<void> {
    for (const job of jobs) {
      throwIfCancelled(signal);
      job.out.set(job.base);
      const factors = joinLowRank(job.terms, job.rows, job.columns);
      if (factors) addProduct(factors, job);
      addDense(job.terms, job.out);
      // Another request, or a cancellation, gets its turn.
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }
}

function addProduct({ up, down, rank }: JoinedFactors, { rows, columns, out }: MergeJob): void {
  for (let row = 0; row < rows; row++) {
    const target = out.subarray(row * columns, (row + 1) * columns);
    for (let r = 0; r < rank; r++) {
      const weight = up[row * rank + r]!;
      if (weight === 0) continue;
      const source = down.subarray(r * columns, (r + 1) * columns);
      for (let j = 0; j < columns; j++) target[j]! += weight * source[j]!;
    }
  }
}
