import { z } from "zod";
import { COMFY_SCHEDULES } from "../pipeline/comfy-schedules.ts";
import { SAMPLERS } from "../pipeline/samplers/sampler.ts";
import { TIMESTEP_SPACINGS } from "../pipeline/timestep-spacing.ts";

/*
 * What a person asks for. The same objects come from the command line, tasks.json, commands and `--jobs` files, so each is
 * checked here and nowhere else. Names are the command line's long options in camelCase (contract.md).
 */

export const backendSchema = z.enum(["auto", "onnxruntime", "tensorrt", "tensorrt-rtx"]);
export const precisionSchema = z.enum(["fp16", "bf16", "fp32", "fp8", "nvfp4"]);
export const componentSchema = z.enum([
  "unet",
  "transformer",
  "text_encoder",
  "text_encoder_2",
  "text_encoder_3",
  "vae_encoder",
  "vae_decoder",
]);
export const samplerSchema = z.enum(SAMPLERS);
export const scheduleSchema = z.enum([...COMFY_SCHEDULES, ...TIMESTEP_SPACINGS]);

/** Where the base weights of engines on a GPU are kept. */
export const baseSchema = z.enum(["auto", "gpu", "host", "file"]);

/** min, opt, max of one dynamic axis. */
const rangeSchema = z
  .tuple([z.int().positive(), z.int().positive(), z.int().positive()])
  .refine(([min, opt, max]) => min <= opt && opt <= max, "min,opt,max in rising order");

const CAPABILITY = /^\d{1,2}\.\d$/;
const capabilitySchema = z
  .string()
  .refine((text) => CAPABILITY.test(text), "a compute capability, such as 8.9")
  .meta({ pattern: CAPABILITY.source });

export const exportOptionsSchema = z.strictObject({
  checkpoint: z.string().min(1),
  output: z.string().min(1).optional(),
  name: z.string().min(1).optional(),
  backend: backendSchema.default("auto"),
  precision: precisionSchema.optional(),
  batch: rangeSchema.optional(),
  height: rangeSchema.optional(),
  width: rangeSchema.optional(),
  context: rangeSchema.optional(),
  static: z.boolean().default(false),
  refit: z.enum(["individual", "all", "none"]).default("individual"),
  components: z.array(componentSchema).nonempty().optional(),
  keepOnnx: z.boolean().default(false),
  optimizationLevel: z.int().min(0).max(5).optional(),
  /** MiB. */
  workspace: z.int().positive().optional(),
  timingCache: z.string().min(1).optional(),
  computeCapability: z.array(capabilitySchema).nonempty().optional(),
  overwrite: z.boolean().default(false),
});

/** How much of a decomposition is kept; both: as few singular values as hold the energy, at most the rank. */
export const truncationOptions = {
  rank: z.int().positive().optional(),
  energy: z.number().gt(0).max(1).optional(),
};

/** `lora`: a LoRA, or a delta of version 1, for which alone a rank and an energy are. */
export const deltaOptionsSchema = z.strictObject({
  engine: z.string().min(1),
  backend: backendSchema.default("auto"),
  lora: z.string().min(1),
  output: z.string().min(1).optional(),
  strength: z.number().default(1),
  dense: z.boolean().default(false),
  ...truncationOptions,
  overwrite: z.boolean().default(false),
});

/** A LoRA or a delta, with its scale, that on the text encoders where it differs, and block weights (src/lora/block-weights.ts). */
export const loraReferenceSchema = z.strictObject({
  file: z.string().min(1),
  scale: z.number().default(1),
  textEncoderScale: z.number().optional(),
  blockWeights: z.string().min(1).optional(),
});

/** A LoRA of a loaded engine's stack: it keeps its place and scale while it is switched off. */
export const stackItemSchema = loraReferenceSchema.extend({ enabled: z.boolean().default(true) });

export const stackOptionsSchema = z.strictObject({ stack: z.array(stackItemSchema) });

export const generateOptionsSchema = z.strictObject({
  engine: z.string().min(1),
  backend: backendSchema.default("auto"),
  base: baseSchema.default("auto"),
  prompt: z.string(),
  negative: z.string().default(""),
  lora: z.array(loraReferenceSchema).default([]),
  steps: z.int().min(1).max(10_000).default(20),
  cfg: z.number().default(7),
  cfgRescale: z.number().min(0).max(1).default(0),
  sampler: samplerSchema.default("euler"),
  schedule: scheduleSchema.default("normal"),
  seed: z.union([z.int(), z.string().regex(/^-?\d+$/)]).optional(),
  width: z.int().positive().optional(),
  height: z.int().positive().optional(),
  batch: z.int().min(1).default(1),
  image: z.string().min(1).optional(),
  strength: z.number().gt(0).max(1).default(0.75),
  output: z.string().min(1).optional(),
  latents: z.string().min(1).optional(),
  saveLatents: z.string().min(1).optional(),
  /** For programs: every how many steps a preview comes with the progress, and with the last; 0: none. */
  previewEvery: z.int().min(0).default(0),
  overwrite: z.boolean().default(false),
});

/** What a grid's pictures may differ in; "lora" is the scale of one LoRA. */
export const gridOptionSchema = z.enum(["lora", "steps", "cfg", "cfgRescale", "sampler", "schedule", "seed", "strength"]);

/** One direction of a grid: an option and its values, in the order of the pictures. */
export const gridAxisSchema = z.strictObject({
  option: gridOptionSchema,
  /** Of the option "lora": the file, or the name that the prompt gives it. */
  lora: z.string().min(1).optional(),
  values: z.array(z.union([z.number(), z.string()])).nonempty(),
});

/** The options of `generate` for every picture, and what they differ in: x from left to right, y from top to bottom. */
export const gridOptionsSchema = generateOptionsSchema
  .omit({ batch: true, latents: true, saveLatents: true })
  .extend({ x: gridAxisSchema, y: gridAxisSchema.optional() });

export const inspectOptionsSchema = z.strictObject({
  file: z.string().min(1),
  /** What changes are measured against: an engine bundle or a checkpoint. */
  base: z.string().min(1).optional(),
});

/** Two stacks, each in its order; an empty `b` is no change at all. */
export const compareOptionsSchema = z.strictObject({
  a: z.array(loraReferenceSchema).nonempty(),
  b: z.array(loraReferenceSchema).default([]),
  base: z.string().min(1).optional(),
});

export const benchOptionsSchema = z.strictObject({
  engine: z.string().min(1),
  backend: backendSchema.default("auto"),
  base: baseSchema.default("auto"),
  lora: z.array(loraReferenceSchema).default([]),
  steps: z.int().min(1).default(20),
  width: z.int().positive().optional(),
  height: z.int().positive().optional(),
  batch: z.int().min(1).default(2),
});

export const doctorOptionsSchema = z.strictObject({});

/** `python`: the program whose pip downloads; absent: the chosen Python, else the first on the path. */
export const installRuntimeOptionsSchema = z.strictObject({ python: z.string().min(1).optional() });

export type Backend = z.infer<typeof backendSchema>;
export type Base = z.infer<typeof baseSchema>;
export type Precision = z.infer<typeof precisionSchema>;
export type Sampler = z.infer<typeof samplerSchema>;
export type Schedule = z.infer<typeof scheduleSchema>;
export type LoraReference = z.infer<typeof loraReferenceSchema>;
export type StackItem = z.infer<typeof stackItemSchema>;
export type ExportOptions = z.infer<typeof exportOptionsSchema>;
export type DeltaOptions = z.infer<typeof deltaOptionsSchema>;
export type GenerateOptions = z.infer<typeof generateOptionsSchema>;
export type GridAxis = z.infer<typeof gridAxisSchema>;
export type GridOptions = z.infer<typeof gridOptionsSchema>;
export type InspectOptions = z.infer<typeof inspectOptionsSchema>;
export type CompareOptions = z.infer<typeof compareOptionsSchema>;
export type InstallRuntimeOptions = z.infer<typeof installRuntimeOptionsSchema>;
export type BenchOptions = z.infer<typeof benchOptionsSchema>;
