import type { WeightArithmetic } from "../lora/merge.ts";
import { Comparisons } from "./comparison/comparisons.ts";
import type { CompareResult } from "./comparison/types.ts";
import type { JobContext } from "./context.ts";
import { Inspections } from "./inspection/inspections.ts";
import type { CompareOptions } from "./options.ts";

/** Compares two stacks of LoRAs and deltas, see `Comparisons`. */
export async function compare(options: CompareOptions, context: JobContext, arithmetic: WeightArithmetic): Promise<CompareResult> {
  const inspections = new Inspections(arithmetic);
  try {
    return (await new Comparisons(inspections, arithmetic).compare(options, context)).result;
  } finally {
    await inspections.closeAll();
  }
}
