import { stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { readJsonFile } from "../formats/json-file.ts";

/** The members of PEFT's configurations (LoraConfig, LoHaConfig, OFTConfig, …) that the arithmetic depends on. */
const configurationSchema = z.looseObject({
  r: z.number().nullish(),
  rank_pattern: z.record(z.string(), z.number()).nullish(),
  lora_alpha: z.number().nullish(),
  /** LoHaConfig's and LoKrConfig's name for it. */
  alpha: z.number().nullish(),
  alpha_pattern: z.record(z.string(), z.number()).nullish(),
  use_rslora: z.boolean().nullish(),
  feedforward_modules: z.union([z.string(), z.array(z.string())]).nullish(),
  use_cayley_neumann: z.boolean().nullish(),
  num_cayley_neumann_terms: z.number().nullish(),
  coft: z.boolean().nullish(),
  eps: z.number().nullish(),
});

type Configuration = z.infer<typeof configurationSchema>;

/** How a module's update is computed, as an adapter's configuration says. */
export interface AdapterSettings {
  readonly alpha?: number;
  readonly rank?: number;
  readonly rankStabilized: boolean;
  /** Whether (IA)³ scales the module's input instead of its output. */
  readonly feedforward?: boolean;
  /** Terms of OFT's approximation of Cayley's transform; 0 where it is computed in full. */
  readonly cayleyNeumannTerms?: number;
  /** The largest norm of an OFT block, of constrained OFT. */
  readonly coftEps?: number;
}

/** Components whose configurations diffusers keeps in one object, each key behind the component's name and a dot. */
const COMPONENTS = ["unet", "transformer", "text_encoder", "text_encoder_2", "text_encoder_3"];

/**
 * An adapter's configuration, from where PEFT and diffusers keep it: `adapter_config.json` beside an `adapter_model.safetensors`, or
 * the metadata `lora_adapter_metadata` in the file itself.
 */
export class AdapterConfiguration {
  /** Start of the modules' names a configuration is for, its last dot included -> configuration. */
  readonly #byPrefix: ReadonlyMap<string, Configuration>;

  private constructor(byPrefix: ReadonlyMap<string, Configuration>) {
    this.#byPrefix = byPrefix;
  }

  /** Reads the configuration of a LoRA file, undefined where it has none. A configuration that cannot be read is reported to `warn`. */
  static async of(
    path: string,
    metadata: ReadonlyMap<string, string>,
    warn: (name: string, reason: string) => void,
  ): Promise<AdapterConfiguration | undefined> {
    const byPrefix = new Map<string, Configuration>();
    const add = (prefix: string, name: string, value: unknown) => {
      const parsed = configurationSchema.safeParse(value);
      if (!parsed.success) {
        warn(name, "it is not a LoRA configuration; the scale is taken to be 1");
        return;
      }
      byPrefix.set(prefix, parsed.data);
      const unread = Object.keys(parsed.data.alpha_pattern ?? {}).find((pattern) => !/^[\w.]+$/.test(pattern));
      if (unread !== undefined) warn(name, `its alpha_pattern "${unread}" is a regular expression, which is not read`);
    };
    const text = metadata.get("lora_adapter_metadata");
    if (text !== undefined) {
      const flat = parseJson(text);
      for (const component of COMPONENTS) {
        const own = Object.entries(flat ?? {}).filter(([key]) => key.startsWith(`${component}.`));
        if (own.length > 0) {
          const value = Object.fromEntries(own.map(([key, member]) => [key.slice(component.length + 1), member]));
          add(`${component}.`, "lora_adapter_metadata", value);
        }
      }
      if (byPrefix.size === 0) warn("lora_adapter_metadata", "it configures no component; the scale is taken to be 1");
    }
    const beside = join(dirname(path), "adapter_config.json");
    if (basename(path) === "adapter_model.safetensors" && (await isFile(beside))) {
      add("", "adapter_config.json", await readJsonFile(beside));
    }
    return byPrefix.size === 0 ? undefined : new AdapterConfiguration(byPrefix);
  }

  /** The settings of a module. Patterns name a module, or the end of its path after a dot, as PEFT matches them. */
  settings(module: string): AdapterSettings {
    for (const [prefix, configuration] of this.#byPrefix) {
      if (!module.startsWith(prefix)) continue;
      const path = module.slice(prefix.length);
      const { alpha_pattern: alphas, rank_pattern: ranks, feedforward_modules: feedforward } = configuration;
      return definedOnly({
        rankStabilized: configuration.use_rslora ?? false,
        alpha: patternValue(alphas, path) ?? configuration.lora_alpha ?? configuration.alpha,
        rank: patternValue(ranks, path) ?? configuration.r,
        feedforward: Array.isArray(feedforward) ? feedforward.some((name) => path === name || path.endsWith(`.${name}`)) : undefined,
        cayleyNeumannTerms: cayleyTerms(configuration),
        coftEps: configuration.coft === true ? (configuration.eps ?? DEFAULT_COFT_EPS) : undefined,
      });
    }
    return { rankStabilized: false };
  }
}

/** OFTConfig's defaults. */
const DEFAULT_COFT_EPS = 6e-5;
const DEFAULT_CAYLEY_TERMS = 5;

function cayleyTerms({ use_cayley_neumann: used, num_cayley_neumann_terms: terms }: Configuration): number | undefined {
  if (used === false) return 0;
  return used === true ? (terms ?? DEFAULT_CAYLEY_TERMS) : undefined;
}

function patternValue(patterns: Readonly<Record<string, number>> | null | undefined, path: string): number | undefined {
  return Object.entries(patterns ?? {}).find(([pattern]) => path === pattern || path.endsWith(`.${pattern}`))?.[1];
}

function definedOnly(settings: { [Key in keyof AdapterSettings]: AdapterSettings[Key] | null | undefined }): AdapterSettings {
  return Object.fromEntries(
    Object.entries(settings).filter(([, value]) => value !== undefined && value !== null),
  ) as unknown as AdapterSettings;
}

function parseJson(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
