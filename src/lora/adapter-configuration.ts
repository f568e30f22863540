import { stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { readJsonFile } from "../formats/json-file.ts";

/** The members of PEFT's LoraConfig that the arithmetic depends on. */
const configurationSchema = z.looseObject({
  lora_alpha: z.number().nullish(),
  alpha_pattern: z.record(z.string(), z.number()).nullish(),
  use_rslora: z.boolean().nullish(),
});

type Configuration = z.infer<typeof configurationSchema>;

/** How a module's update is scaled, as an adapter's configuration says. */
export interface AdapterScaling {
  readonly alpha?: number;
  readonly rankStabilized: boolean;
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

  /** The scaling of a module. Patterns name a module, or the end of its path after a dot, as PEFT matches them. */
  scaling(module: string): AdapterScaling {
    for (const [prefix, configuration] of this.#byPrefix) {
      if (!module.startsWith(prefix)) continue;
      const path = module.slice(prefix.length);
      const patterns = Object.entries(configuration.alpha_pattern ?? {});
      const own = patterns.find(([pattern]) => path === pattern || path.endsWith(`.${pattern}`));
      const alpha = own?.[1] ?? configuration.lora_alpha ?? undefined;
      return { rankStabilized: configuration.use_rslora ?? false, ...(alpha === undefined ? {} : { alpha }) };
    }
    return { rankStabilized: false };
  }
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
