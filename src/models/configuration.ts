/** How the UNet's output is to be read: noise (epsilon) or velocity (v, arXiv:2202.00512). */
export type Prediction = "epsilon" | "v_prediction";

/** Everything about a model that its graphs and its pipeline need and that is not in a weight's shape alone. */
export interface ModelConfiguration {
  readonly unet?: UNetConfiguration;
  readonly textEncoders: readonly TextEncoderConfiguration[];
  readonly vae?: VaeConfiguration;
  readonly prediction: Prediction;
  /** The training noise schedule, "scaled linear" between these (Stable Diffusion: 0.00085, 0.012), 1000 steps. */
  readonly betaStart: number;
  readonly betaEnd: number;
  readonly zeroTerminalSnr: boolean;
}

export interface UNetConfiguration {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly modelChannels: number;
  readonly contextWidth: number;
  /** Width of `y` (pooled text and size embeddings); 0 where the model has none. */
  readonly admWidth: number;
  /** SD1.x: a fixed number of heads (8); later models: a fixed head width (64). */
  readonly heads: { readonly count: number } | { readonly width: number };
  readonly linearProjections: boolean;
  /** From the highest resolution to the lowest. */
  readonly levels: readonly UNetLevel[];
  readonly middle: UNetMiddle;
}

/** What a UNet's keys and shapes tell by themselves. */
export type UNetStructure = Omit<UNetConfiguration, "heads">;

/** The blocks of one resolution. */
export interface UNetLevel {
  /** Channels of every block of the level. */
  readonly width: number;
  /** Depth of the transformer behind each residual block on the way down, in the order they run; 0 where there is none. */
  readonly down: readonly number[];
  /** The same on the way up. */
  readonly up: readonly number[];
}

export interface UNetMiddle {
  /** 2 in every published base model; distilled ones have 1 or 0. */
  readonly residualBlocks: number;
  /** Depth of the transformer behind the first residual block; 0 where there is none. */
  readonly depth: number;
}

export interface TextEncoderConfiguration {
  readonly component: "text_encoder" | "text_encoder_2";
  /** "transformers": separate q, k, v; "openclip": one fused in_proj. */
  readonly layout: "transformers" | "openclip";
  /** The common start of the encoder's keys, e.g. "conditioner.embedders.0.transformer.text_model.". */
  readonly prefix: string;
  readonly width: number;
  readonly layers: number;
  readonly heads: number;
  readonly tokens: number;
  readonly activation: "quick_gelu" | "gelu";
  /** Width of the pooled output; 0 where there is no projection. */
  readonly projectionWidth: number;
  /** The token that fills a prompt up: CLIP-L 49407, OpenCLIP 0. */
  readonly padToken: number;
  /** Which hidden state the UNet takes as context. */
  readonly hiddenState: "last" | "penultimate" | "penultimate_normalized";
}

export interface VaeConfiguration {
  readonly latentChannels: number;
  /** Pixels per latent in one direction: 8. */
  readonly factor: number;
  readonly scale: number;
  readonly shift: number;
}
