import { z } from "zod";
import { ContentCache } from "../inspection/content-cache.ts";
import type { ComparisonNumbers } from "./types.ts";

const VERSION = 1;

const optionalNumber = z.number().optional();
const layerSchema = z.object({
  name: z.string(),
  component: z.string(),
  block: z.string(),
  role: z.string(),
  in: z.enum(["both", "a", "b"]),
  shape: z.array(z.number()).optional(),
  rankA: optionalNumber,
  rankB: optionalNumber,
  normA: optionalNumber,
  normB: optionalNumber,
  ratio: optionalNumber,
  cosine: optionalNumber,
  difference: optionalNumber,
  baseNorm: optionalNumber,
  relativeA: optionalNumber,
  relativeB: optionalNumber,
  relativeDifference: optionalNumber,
  overlapOutputs: optionalNumber,
  overlapInputs: optionalNumber,
  reason: z.string().optional(),
});
const totalsSchema = z.object({
  layersInBoth: z.number(),
  layersInA: z.number(),
  layersInB: z.number(),
  normA: z.number(),
  normB: z.number(),
  difference: z.number(),
  cosine: optionalNumber,
  ratio: optionalNumber,
});
const schema = z.object({ layers: z.array(layerSchema), totals: totalsSchema }) as z.ZodType<ComparisonNumbers>;

/** Comparisons by what the files hold, their scales, and the base's fingerprint. */
export function comparisonCache(folder: string): ContentCache<ComparisonNumbers> {
  return new ContentCache(folder, { schema, version: VERSION });
}
