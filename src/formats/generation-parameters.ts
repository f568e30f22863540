import type { SamplerName, ScheduleName } from "./parameter-labels.ts";

/** What a picture was made with. */
export interface GenerationParameters {
  /** As typed, `<lora:name:scale>` included. */
  readonly prompt: string;
  readonly negativePrompt: string;
  readonly steps?: number;
  readonly sampler?: SamplerName;
  readonly schedule?: ScheduleName;
  readonly cfgScale?: number;
  /** Decimal, because seeds have 64 bits. */
  readonly seed?: string;
  /** Pixels. */
  readonly size?: { readonly width: number; readonly height: number };
  readonly modelHash?: string;
  readonly model?: string;
  readonly loraHashes?: readonly { readonly name: string; readonly hash: string }[];
  readonly denoisingStrength?: number;
  readonly version?: string;
  /** Fields that are none of the above, and those whose value is not understood, under the WebUI's label. */
  readonly others: ReadonlyMap<string, string>;
}
