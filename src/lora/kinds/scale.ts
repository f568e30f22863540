import { numberFactor, type Factors, type FactorShapes } from "../factors.ts";

/** alpha / rank; 1 where no alpha is given. */
export function alphaScale(factors: Factors, rank: number): number {
  const alpha = numberFactor(factors, "alpha");
  return alpha === undefined ? 1 : alpha / rank;
}

export function shapesOf(factors: Factors): FactorShapes {
  const shapes = new Map<string, readonly number[]>();
  for (const [name, { shape }] of factors) shapes.set(name, shape);
  return shapes;
}

export function scaleInPlace(values: Float32Array, scale: number): Float32Array {
  if (scale !== 1) for (let i = 0; i < values.length; i++) values[i]! *= scale;
  return values;
}
