import type { Component } from "../models/architecture.ts";
import type { ModelConfiguration } from "../models/configuration.ts";
import { textEncoderModules } from "../models/text-encoder-names.ts";
import { unetDiffusersToLdm } from "../models/unet-names.ts";
import { UNET_PREFIX } from "../models/unet-parts.ts";
import { nearestName } from "./nearest-name.ts";

/** A module of a model, and the weight and bias (or rows of them) that it uses. */
export interface ModuleTarget {
  readonly component: Component;
  readonly weight: string;
  /** Absent where the module has none, as far as the model's names tell. */
  readonly bias?: string;
  readonly rows?: { readonly start: number; readonly end: number };
  /** True where the checkpoint holds the transpose of what the module multiplies with. */
  readonly transposed?: boolean;
}

/** Starts of UNet modules' names with underscores: kohya's, and that of LyCORIS' wrapper around a bare UNet. */
const UNET_UNDERSCORED = ["lora_unet_", "lycoris_"];

/** Starts of dotted names of UNet modules, behind which the single-file path or diffusers' follows. */
const UNET_LDM_PREFIXES = ["diffusion_model.", UNET_PREFIX, "lora_unet."];
const UNET_DIFFUSERS_PREFIXES = ["unet.", "unet.base_model.model.", "base_model.model.", "base_model.model.unet.", "lora_unet.", ""];

/** Starts of text encoder modules' names: those with underscores (kohya), then dotted ones (diffusers, PEFT, ComfyUI, OneTrainer). */
const TEXT_ENCODER_PREFIXES = {
  text_encoder: {
    underscored: ["lora_te_", "lora_te1_"],
    dotted: [
      "lora_te.",
      "lora_te1.",
      "clip_l.",
      "text_encoder.",
      "text_encoder.base_model.model.",
      "text_encoders.clip_l.transformer.",
      "base_model.model.",
      "",
    ],
  },
  text_encoder_2: {
    underscored: ["lora_te2_"],
    dotted: ["lora_te2.", "clip_g.", "text_encoder_2.", "text_encoder_2.base_model.model.", "text_encoders.clip_g.transformer."],
  },
} as const;

/**
 * Every name that a LoRA file may give a module of one model -> the module. Names with underscores for dots (kohya's) are made from
 * the known paths and looked up; where the dots were is never guessed.
 */
export class ModuleIndex {
  readonly #targets = new Map<string, ModuleTarget>();

  constructor(configuration: ModelConfiguration) {
    if (configuration.unet) {
      for (const [diffusers, ldm] of unetDiffusersToLdm(configuration.unet)) this.#addUNetModule(diffusers, ldm);
    }
    for (const encoder of configuration.textEncoders) {
      for (const [path, { weight, bias, rows, transposed }] of textEncoderModules(encoder)) {
        const target = {
          component: encoder.component,
          weight,
          ...(bias === undefined ? {} : { bias }),
          ...(rows ? { rows } : {}),
          ...(transposed ? { transposed } : {}),
        };
        this.#addTextEncoderModule(path, target);
      }
    }
  }

  find(module: string): ModuleTarget | undefined {
    return this.#targets.get(module);
  }

  /** The known name most like one that is not known; undefined where nothing is near. */
  nearest(module: string): string | undefined {
    return nearestName(module, this.#targets.keys());
  }

  #addUNetModule(diffusers: string, ldm: string): void {
    const target = { component: "unet", weight: `${ldm}.weight`, bias: `${ldm}.bias` } as const;
    const ldmPath = ldm.slice(UNET_PREFIX.length);
    for (const path of [ldmPath, diffusers]) for (const start of UNET_UNDERSCORED) this.#add(start + underscored(path), target);
    for (const prefix of UNET_LDM_PREFIXES) this.#add(prefix + ldmPath, target);
    for (const prefix of UNET_DIFFUSERS_PREFIXES) this.#add(prefix + diffusers, target);
  }

  #addTextEncoderModule(path: string, target: ModuleTarget & { readonly component: "text_encoder" | "text_encoder_2" }): void {
    const prefixes = TEXT_ENCODER_PREFIXES[target.component];
    for (const prefix of prefixes.underscored) this.#add(prefix + underscored(path), target);
    // transformers 5 dropped "text_model." from CLIPTextModel's own names, and so from LoRAs saved with it.
    const paths = path.startsWith("text_model.") ? [path, path.slice("text_model.".length)] : [path];
    for (const prefix of prefixes.dotted) for (const each of paths) this.#add(prefix + each, target);
  }

  #add(name: string, target: ModuleTarget): void {
    if (!this.#targets.has(name)) this.#targets.set(name, target);
  }
}

function underscored(path: string): string {
  return path.replaceAll(".", "_");
}
