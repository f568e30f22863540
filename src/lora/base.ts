import type { Architecture, Component } from "../models/architecture.ts";
import type { ModelConfiguration } from "../models/configuration.ts";

/** A weight of an engine that can be refitted; `name` is its single-file (LDM) key. */
export interface RefittableBaseWeight {
  readonly name: string;
  readonly shape: readonly number[];
  readonly component: Component;
}

/** What a delta is made for: an engine bundle as far as LoRAs are concerned. */
export interface BaseDescription {
  /** The engine bundle's name. */
  readonly name: string;
  readonly architecture: Architecture;
  /** Of the checkpoint the engine was built from, see formats/fingerprint.ts. */
  readonly fingerprint: string;
  readonly configuration: ModelConfiguration;
  readonly weights: readonly RefittableBaseWeight[];
}
