import type { Architecture, Component } from "./architecture.ts";
import type { ModelConfiguration } from "./configuration.ts";

/**
 * Where one weight's bytes stand. `name` is the single-file (LDM) key: tensors of a diffusers folder are listed under the
 * single-file name of the same weight, so that graphs, engines and deltas know one naming only.
 */
export interface Weight {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Absolute path of the safetensors file, and the bytes' place in it. */
  readonly file: string;
  readonly offset: number;
  readonly length: number;
}

export type WeightTable = ReadonlyMap<string, Weight>;

/** A diffusion checkpoint, single-file or diffusers folder, whose headers have been read; no weight has been. */
export interface Checkpoint {
  readonly path: string;
  readonly layout: "single-file" | "diffusers";
  readonly architecture: Architecture;
  readonly configuration: ModelConfiguration;
  /** The weights of each component present; a vae's weights are listed under vae_encoder and vae_decoder, each its own. */
  readonly components: ReadonlyMap<Component, WeightTable>;
  /** Every safetensors file that holds a listed weight. */
  readonly files: readonly string[];
  /** Keys that no component uses, with the reason where one is known (EMA copies, schedules, position ids, …). */
  readonly unused: readonly { readonly name: string; readonly reason: string }[];
}
