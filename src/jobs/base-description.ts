import { readBaseWeights } from "../engines/base-weights.ts";
import type { BaseDescription } from "../lora/base.ts";
import type { BaseReader } from "../lora/read-delta.ts";
import type { Component } from "../models/architecture.ts";
import type { OpenedBundle } from "./engine-cache.ts";

/** A bundle as far as LoRAs are concerned. */
export function describeBase({ bundle, architecture, configuration }: OpenedBundle): BaseDescription {
  return {
    name: bundle.name,
    architecture,
    fingerprint: bundle.checkpoint.fingerprint,
    configuration,
    weights: bundle.components.flatMap(({ component, refittable }) =>
      refittable.map(({ name, shape }) => ({ name, shape, component: component as Component })),
    ),
  };
}

/** Reads the base's values of a bundle's refittable weights, one at a time. */
export function baseReader({ folder, bundle }: OpenedBundle): BaseReader {
  return async (name) => {
    const entry = bundle.components.flatMap(({ refittable }) => refittable).find((weight) => weight.name === name)!;
    const [weight] = await readBaseWeights(folder, [entry]);
    return weight!.values;
  };
}
