import { factor, numberFactor, type FactorShapes, type BlockSize, type Factors } from "../factors.ts";
import type { UpdateKind } from "./kind.ts";

/**
 * (IA)³ (arXiv:2205.05638) as LyCORIS keeps it: new = W · (1 + strength · weight) along the output rows, or with `on_input` = 1 along
 * the input channels. Its key "weight" is "ia3_weight" in a delta, where a weight's own name ends so.
 */
export const IA3: UpdateKind = {
  label: "(IA)³",
  required: [["ia3_weight", "on_input"]],
  multiplied: ["ia3_weight"],
  check: () => undefined,
  rank: () => 0,
  misfit(shapes, size) {
    const count = countOf(shapes, "ia3_weight");
    return count === size.rows || count === size.channels ? undefined : vectorMisfit(count, size);
  },
  apply(factors, block, strength) {
    const { values } = factor(factors, "ia3_weight");
    scaleAxis(block, (index) => 1 + strength * values[index]!, isOnInput(factors, values.length, block));
    return Promise.resolve();
  },
};

/** (IA)³ as PEFT keeps it: ia3_l is the factor itself, so that new = W · (1 + strength · (ia3_l − 1)). */
export const PEFT_IA3: UpdateKind = {
  ...IA3,
  label: "(IA)³",
  required: [["ia3_l"]],
  optional: ["on_input"],
  multiplied: [],
  misfit(shapes, size) {
    const count = countOf(shapes, "ia3_l");
    return count === size.rows || count === size.channels ? undefined : vectorMisfit(count, size);
  },
  apply(factors, block, strength) {
    const { values } = factor(factors, "ia3_l");
    scaleAxis(block, (index) => 1 + strength * (values[index]! - 1), isOnInput(factors, values.length, block));
    return Promise.resolve();
  },
};

function countOf(shapes: FactorShapes, name: string): number {
  return shapes.get(name)!.reduce((product, size) => product * size, 1);
}

function vectorMisfit(count: number, size: BlockSize): string {
  return `it has ${count} numbers for a weight of ${size.rows} outputs and ${size.channels} inputs`;
}

/** What the file says; where it cannot be so by the sizes, the other axis. */
export function isOnInput(factors: Factors, count: number, size: BlockSize): boolean {
  const said = numberFactor(factors, "on_input") === 1;
  return said ? count === size.channels : count !== size.rows;
}

function scaleAxis(block: BlockSize & { readonly values: Float32Array }, scale: (index: number) => number, onInput: boolean): void {
  const { rows, channels, kernel, values } = block;
  for (let row = 0; row < rows; row++) {
    for (let channel = 0; channel < channels; channel++) {
      const by = scale(onInput ? channel : row);
      const start = (row * channels + channel) * kernel;
      for (let k = 0; k < kernel; k++) values[start + k]! *= by;
    }
  }
}
