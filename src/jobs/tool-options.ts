import { z } from "zod";
import { componentSchema, loraReferenceSchema, truncationOptions } from "./options.ts";

/* What a person asks of the merging tools; see options.ts. */

/** `checkpoint`: a checkpoint's file, a diffusers folder, or an engine bundle, whose checkpoint is meant. */
export const bakeOptionsSchema = z.strictObject({
  checkpoint: z.string().min(1),
  lora: z.array(loraReferenceSchema).nonempty(),
  output: z.string().min(1),
  overwrite: z.boolean().default(false),
});

export const extractOptionsSchema = z.strictObject({
  original: z.string().min(1),
  tuned: z.string().min(1),
  output: z.string().min(1),
  ...truncationOptions,
  components: z.array(componentSchema).nonempty().optional(),
  dtype: z.enum(["fp16", "bf16", "fp32"]).default("fp16"),
  overwrite: z.boolean().default(false),
});

export const resizeOptionsSchema = z
  .strictObject({ lora: z.string().min(1), output: z.string().min(1), ...truncationOptions, overwrite: z.boolean().default(false) })
  .refine(({ rank, energy }) => rank !== undefined || energy !== undefined, {
    path: ["rank"],
    message: "a whole number, or --energy given",
  });

export const mergeLorasOptionsSchema = z.strictObject({
  lora: z.array(loraReferenceSchema).nonempty(),
  output: z.string().min(1),
  ...truncationOptions,
  overwrite: z.boolean().default(false),
});

export type BakeOptions = z.infer<typeof bakeOptionsSchema>;
export type ExtractOptions = z.infer<typeof extractOptionsSchema>;
export type ResizeOptions = z.infer<typeof resizeOptionsSchema>;
export type MergeLorasOptions = z.infer<typeof mergeLorasOptionsSchema>;
