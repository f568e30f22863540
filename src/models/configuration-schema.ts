import { z } from "zod";
import type { ModelConfiguration } from "./configuration.ts";

const count = z.int().positive();
const depths = z.array(z.int().nonnegative());

const unetSchema = z.strictObject({
  inChannels: count,
  outChannels: count,
  modelChannels: count,
  contextWidth: count,
  admWidth: z.int().nonnegative(),
  heads: z.union([z.strictObject({ count }), z.strictObject({ width: count })]),
  linearProjections: z.boolean(),
  levels: z.array(z.strictObject({ width: count, down: depths, up: depths })),
  middle: z.strictObject({ residualBlocks: z.int().min(0).max(2), depth: z.int().nonnegative() }),
});

const textEncoderSchema = z.strictObject({
  component: z.enum(["text_encoder", "text_encoder_2"]),
  layout: z.enum(["transformers", "openclip"]),
  prefix: z.string(),
  width: count,
  layers: count,
  heads: count,
  tokens: count,
  activation: z.enum(["quick_gelu", "gelu"]),
  projectionWidth: z.int().nonnegative(),
  padToken: z.int().nonnegative(),
  hiddenState: z.enum(["last", "penultimate", "penultimate_normalized"]),
});

const vaeSchema = z.strictObject({ latentChannels: count, factor: count, scale: z.number().positive(), shift: z.number() });

/** Checks a model configuration that was kept as JSON, as in a bundle's engine.json. */
export const modelConfigurationSchema = z.strictObject({
  unet: unetSchema.exactOptional(),
  textEncoders: z.array(textEncoderSchema),
  vae: vaeSchema.exactOptional(),
  prediction: z.enum(["epsilon", "v_prediction"]),
  betaStart: z.number().positive(),
  betaEnd: z.number().positive(),
  zeroTerminalSnr: z.boolean(),
}) satisfies z.ZodType<ModelConfiguration>;
