import type { WeightDtype } from "../../formats/numbers.ts";
import type { Factor } from "../../lora/factors.ts";
import type { NativeNumbers } from "./native.ts";

/** Numbers in a file, not read yet. */
export interface StoredNumbers {
  readonly file: string;
  readonly offset: number;
  readonly count: number;
  readonly dtype: WeightDtype;
}

/** A factor whose numbers stand in a file until somebody asks for them; the GPU's side reads them from there itself. */
export interface StoredFactor extends Factor {
  readonly stored: StoredNumbers;
}

/** A factor's numbers as the native side takes them. */
export function numbersOf(factor: Factor): NativeNumbers {
  return isStoredFactor(factor) ? factor.stored : { data: factor.values, dtype: "F32" };
}

function isStoredFactor(factor: Factor): factor is StoredFactor {
  return "stored" in factor;
}
