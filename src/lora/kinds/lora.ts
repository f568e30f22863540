import { factor, sizeFrom, type FactorShapes } from "../factors.ts";
import { asMatrix, transpose } from "../matrix-product.ts";
import { matrixMisfit, type UpdateKind } from "./kind.ts";
import { alphaScale, scaleInPlace } from "./scale.ts";
import { coreMisfit, rebuildTucker } from "./tucker.ts";

/** A LoRA (arXiv:2106.09685) as one of several parts of a weight's change; alone it is a `LowRankChange`. */
export const LORA: UpdateKind = {
  label: "LoRA",
  required: [["lora_up", "lora_down"]],
  multiplied: ["lora_up", "lora_down"],
  check(shapes) {
    const [up, down] = pair(shapes);
    if (up.length < 2 || down.length < 2 || sizeFrom(up, 2) !== 1) return "its factors do not have the shapes of a LoRA";
    return up[1] === down[0] ? undefined : `its up factor has rank ${up[1]}, its down factor rank ${down[0]}`;
  },
  rank: (shapes) => pair(shapes)[1][0]!,
  misfit: (shapes, size) => matrixMisfit(pair(shapes)[0][0]!, sizeFrom(pair(shapes)[1], 1), size),
  inputs: (shapes) => pair(shapes)[1][1],
  changedShape: (shapes) => [pair(shapes)[0][0]!, ...pair(shapes)[1].slice(1)],
  async change(factors, _, product) {
    const down = asMatrix(factor(factors, "lora_down"));
    const up = asMatrix(factor(factors, "lora_up"));
    // The scale goes into the smaller matrix.
    const scaled = { ...up, values: scaleInPlace(up.values.slice(), alphaScale(factors, down.rows)) };
    const { values } = await product.multiply(scaled, down);
    return values;
  },
};

/** LoCon of a convolution with a Tucker core (LyCORIS): up [out, r, 1, 1], core [r, r, kernel…], down [r, in, 1, 1]. */
export const TUCKER_LORA: UpdateKind = {
  ...LORA,
  label: "LoCon with a Tucker core",
  required: [["lora_up", "lora_mid", "lora_down"]],
  multiplied: ["lora_up", "lora_mid", "lora_down"],
  check(shapes) {
    const [up, down] = pair(shapes);
    if (up.length < 2 || down.length < 2 || sizeFrom(up, 2) !== 1 || sizeFrom(down, 2) !== 1) {
      return "its up and down factors are not 1×1";
    }
    return coreMisfit("lora_mid", shapes.get("lora_mid")!, up[1]!, down[0]!);
  },
  misfit(shapes, size) {
    const kernel = sizeFrom(shapes.get("lora_mid")!, 2);
    return matrixMisfit(pair(shapes)[0][0]!, pair(shapes)[1][1]! * kernel, size);
  },
  changedShape: (shapes) => [pair(shapes)[0][0]!, pair(shapes)[1][1]!, ...shapes.get("lora_mid")!.slice(2)],
  async change(factors, _, product) {
    const down = asMatrix(factor(factors, "lora_down"));
    const up = transpose(asMatrix(factor(factors, "lora_up")));
    const { values } = await rebuildTucker(factor(factors, "lora_mid"), up, down, product);
    return scaleInPlace(values, alphaScale(factors, down.rows));
  },
};

function pair(shapes: FactorShapes): [readonly number[], readonly number[]] {
  return [shapes.get("lora_up")!, shapes.get("lora_down")!];
}
