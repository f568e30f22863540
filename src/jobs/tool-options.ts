import { z } from "zod";
import { loraReferenceSchema } from "./options.ts";

/* What a person asks of the merging tools; see options.ts. */

/** `checkpoint`: a checkpoint's file, a diffusers folder, or an engine bundle, whose checkpoint is meant. */
export const bakeOptionsSchema = z.strictObject({
  checkpoint: z.string().min(1),
  lora: z.array(loraReferenceSchema).nonempty(),
  output: z.string().min(1),
  overwrite: z.boolean().default(false),
});

export type BakeOptions = z.infer<typeof bakeOptionsSchema>;
