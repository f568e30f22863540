import { readBaseWeights } from "../engines/base-weights.ts";
import { UserError } from "../formats/errors.ts";
import type { BaseDescription } from "../lora/base.ts";
import type { BaseReader } from "../lora/read-delta.ts";
import type { Component } from "../models/architecture.ts";
import type { OpenedBundle } from "./engine-cache.ts";

/** A bundle as far as LoRAs are concerned. Throws "bundle.invalid" where none of its weights can be changed. */
export function describeBase({ folder, bundle, architecture, configuration }: OpenedBundle): BaseDescription {
  if (bundle.components.every(({ refittable }) => refittable.length === 0)) {
    throw new UserError(
      "bundle.invalid",
      `${folder} was built without weights that can be changed, so LoRAs do not work with it. Export the checkpoint again with --refit individual, on a machine with a GPU.`,
    );
  }
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
