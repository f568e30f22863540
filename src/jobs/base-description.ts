import type { BaseDescription } from "../lora/base.ts";
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
