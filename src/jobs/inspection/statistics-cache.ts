import { z } from "zod";
import { ContentCache } from "./content-cache.ts";
import type { LayerStatistics } from "./types.ts";

const VERSION = 2;

const optionalNumber = z.number().optional();
const statisticsSchema = z.object({
  name: z.string(),
  kind: z.string(),
  rank: optionalNumber,
  alpha: optionalNumber,
  norm: optionalNumber,
  relativeNorm: optionalNumber,
  baseNorm: optionalNumber,
  spectralNorm: optionalNumber,
  effectiveRank: optionalNumber,
  maximum: optionalNumber,
  mean: optionalNumber,
  sparsity: optionalNumber,
  nan: z.number(),
  infinite: z.number(),
  reason: z.string().optional(),
});

/** Statistics of a file's layers, by the file's SHA-256 and the base's fingerprint. */
export type StatisticsCache = ContentCache<LayerStatistics[]>;

export function statisticsCache(folder: string): StatisticsCache {
  return new ContentCache(folder, { schema: z.array(statisticsSchema) as z.ZodType<LayerStatistics[]>, version: VERSION });
}
