import type { Component } from "./architecture.ts";
import type { Weight } from "./checkpoint.ts";
import type { Prediction, TextEncoderConfiguration, UNetConfiguration, VaeConfiguration } from "./configuration.ts";

/** What a checkpoint's files hold, under single-file names, before it is known what it is. */
export interface WeightCollection {
  readonly path: string;
  readonly layout: "single-file" | "diffusers";
  readonly weights: ReadonlyMap<string, Weight>;
  readonly unused: readonly { readonly name: string; readonly reason: string }[];
  /** What is said beside the weights; where it says nothing, the architecture's published values are taken. */
  readonly declared: Declared;
}

/** What metadata, marker tensors and diffusers' configuration files say. */
export interface Declared {
  readonly prediction?: Prediction | undefined;
  readonly zeroTerminalSnr?: boolean | undefined;
  readonly betaStart?: number | undefined;
  readonly betaEnd?: number | undefined;
  readonly unetHeads?: UNetConfiguration["heads"] | undefined;
  /** By the start of the encoder's keys. */
  readonly textEncoders?: ReadonlyMap<string, DeclaredTextEncoder> | undefined;
  readonly vae?: Pick<VaeConfiguration, "scale" | "shift"> | undefined;
}

export interface DeclaredTextEncoder extends Pick<TextEncoderConfiguration, "heads" | "activation"> {
  readonly component: Extract<Component, "text_encoder" | "text_encoder_2">;
}
