import type { ModelConfiguration } from "../models/configuration.ts";
import { describeCheckpoint, isDescribed } from "../models/full-size.ts";
import { textEncoderModules } from "../models/text-encoder-names.ts";
import { unetDiffusersToLdm } from "../models/unet-names.ts";
import { UNET_PREFIX } from "../models/unet-parts.ts";
import type { Architecture } from "../models/architecture.ts";
import { detectLoraArchitecture } from "./lora-architecture.ts";
import type { LoraFile } from "./lora-file.ts";
import { ModuleIndex, type ModuleTarget } from "./module-index.ts";

/**
 * The modules of a model under the names that kohya's trainers give them: the UNet's by diffusers' paths for SD1.x and SD2.x and by
 * single-file paths for SDXL ("lora_unet_"), the text encoders' by transformers' ("lora_te_"; of SDXL "lora_te1_" and "lora_te2_").
 */
export function kohyaModules(architecture: Architecture, configuration: ModelConfiguration): Map<string, ModuleTarget> {
  const modules = new Map<string, ModuleTarget>();
  const isXl = architecture === "sdxl" || architecture === "sdxl-refiner";
  for (const [diffusers, ldm] of configuration.unet ? unetDiffusersToLdm(configuration.unet) : []) {
    const path = isXl ? ldm.slice(UNET_PREFIX.length) : diffusers;
    modules.set(`lora_unet_${underscored(path)}`, { component: "unet", weight: `${ldm}.weight`, bias: `${ldm}.bias` });
  }
  for (const encoder of configuration.textEncoders) {
    const start = !isXl ? "lora_te_" : encoder.component === "text_encoder" ? "lora_te1_" : "lora_te2_";
    for (const [path, module] of textEncoderModules(encoder)) {
      modules.set(start + underscored(path), { ...module, component: encoder.component });
    }
  }
  return modules;
}

/** The names of LoRA files' modules, whatever trainer wrote them, as kohya's names: of the full-size model that the files are made for. */
export class KohyaNames {
  readonly #index: ModuleIndex | undefined;
  readonly #names: ReadonlyMap<string, string>;

  /** @param loras files for one model */
  constructor(loras: readonly LoraFile[]) {
    const architecture = detectLoraArchitecture(loras.flatMap(({ updates }) => updates))?.architecture;
    if (architecture === undefined || !isDescribed(architecture)) {
      this.#names = new Map();
      return;
    }
    const { configuration } = describeCheckpoint(architecture);
    this.#index = new ModuleIndex(configuration);
    this.#names = new Map(Array.from(kohyaModules(architecture, configuration), ([name, target]) => [placeOf(target), name]));
  }

  /** The weight that a module changes, in a single-file checkpoint; undefined where the model is not known. */
  target(module: string): ModuleTarget | undefined {
    return this.#index?.find(module);
  }

  /** kohya's name of a module; its own where it has none there. */
  name(module: string): string {
    const target = this.target(module);
    return (target && this.#names.get(placeOf(target))) ?? module;
  }
}

function placeOf({ weight, rows }: ModuleTarget): string {
  return `${weight} ${rows?.start ?? 0}`;
}

function underscored(path: string): string {
  return path.replaceAll(".", "_");
}
