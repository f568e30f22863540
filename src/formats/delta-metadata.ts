import { UserError } from "./errors.ts";

/** `format` of the delta files written here. */
export const DELTA_FORMAT = "trt_lora/2";

/** Where a delta comes from and what it belongs to. */
export interface DeltaMetadata {
  /** Name of the engine bundle it was made for. */
  readonly baseEngine: string;
  /** Fingerprint of the checkpoint that engine was built from, see fingerprint.ts. */
  readonly baseFingerprint: string;
  readonly architecture: string;
  readonly loraFile: string;
  /** Already multiplied into the values. */
  readonly loraStrength: number;
  /** SHA-256 of the LoRA's file, by which a delta that was made before is known again. */
  readonly loraHash?: string;
  /** What kinds of update the LoRA has: "LoRA", "DoRA", "LoHa", … */
  readonly kinds?: readonly string[];
  /** Whether changes were computed and stored themselves, instead of their factors. */
  readonly dense?: boolean;
}

const KEYS = {
  baseEngine: "base_engine",
  baseFingerprint: "base_fingerprint",
  architecture: "architecture",
  loraFile: "lora_file",
} as const;

/** The metadata as the file holds them: strings all. */
export function formatDeltaMetadata(metadata: DeltaMetadata, changes: number): Record<string, string> {
  const texts = Object.entries(KEYS).map(([field, key]) => [key, metadata[field as keyof typeof KEYS]]);
  return {
    format: DELTA_FORMAT,
    ...(Object.fromEntries(texts) as Record<string, string>),
    lora_strength: String(metadata.loraStrength),
    ...(metadata.loraHash !== undefined && { lora_hash: metadata.loraHash }),
    ...(metadata.kinds && metadata.kinds.length > 0 && { kinds: metadata.kinds.join(", ") }),
    ...(metadata.dense && { dense: "true" }),
    num_deltas: String(changes),
  };
}

/** Throws "delta.invalid" where one is missing or is not what it should be, or `num_deltas` is not `changes`. */
export function parseDeltaMetadata(path: string, metadata: ReadonlyMap<string, string>, changes: number): DeltaMetadata {
  const text = (key: string): string => {
    const value = metadata.get(key);
    if (value === undefined) throw invalidDelta(path, `its metadata has no "${key}"`);
    return value;
  };
  const number = (key: string): number => {
    const value = text(key);
    if (value.trim() === "" || !Number.isFinite(Number(value))) {
      throw invalidDelta(path, `its metadata's "${key}" is not a number: ${JSON.stringify(value.slice(0, 100))}`);
    }
    return Number(value);
  };
  const parsed = {
    baseEngine: text(KEYS.baseEngine),
    baseFingerprint: text(KEYS.baseFingerprint),
    architecture: text(KEYS.architecture),
    loraFile: text(KEYS.loraFile),
    loraStrength: number("lora_strength"),
    ...(metadata.has("lora_hash") && { loraHash: text("lora_hash") }),
    ...(metadata.has("kinds") && { kinds: text("kinds").split(", ") }),
    ...(metadata.get("dense") === "true" && { dense: true }),
  };
  const promised = number("num_deltas");
  if (promised !== changes) throw invalidDelta(path, `it should change ${promised} weights, but ${changes} are in it`);
  return parsed;
}

/** Version 1 files of other tools promise no metadata: what is there is taken, what cannot be read is left out. */
export function looseDeltaMetadata(metadata: ReadonlyMap<string, string>): Partial<DeltaMetadata> {
  const texts = Object.entries(KEYS).flatMap(([field, key]) => (metadata.has(key) ? [[field, metadata.get(key)]] : []));
  const strength = Number(metadata.get("lora_strength") ?? NaN);
  return { ...(Object.fromEntries(texts) as Partial<DeltaMetadata>), ...(Number.isFinite(strength) ? { loraStrength: strength } : {}) };
}

export function invalidDelta(path: string, reason: string): UserError {
  return new UserError("delta.invalid", `${path} is not a valid delta: ${reason}. Make the delta again from its LoRA.`);
}
