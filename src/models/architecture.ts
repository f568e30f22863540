/** The model families, in the field's own names. */
export type Architecture = "sd1" | "sd2" | "sdxl" | "sdxl-refiner" | "sd3" | "flux" | "wan";

export const ARCHITECTURE_LABEL: Readonly<Record<Architecture, string>> = {
  sd1: "Stable Diffusion 1.x",
  sd2: "Stable Diffusion 2.x",
  sdxl: "SDXL",
  "sdxl-refiner": "SDXL refiner",
  sd3: "Stable Diffusion 3",
  flux: "Flux",
  wan: "Wan 2.2",
};

/** The networks a checkpoint is made of; each becomes one engine. */
export const COMPONENTS = [
  "unet",
  "transformer",
  "text_encoder",
  "text_encoder_2",
  "text_encoder_3",
  "vae_encoder",
  "vae_decoder",
] as const;

export type Component = (typeof COMPONENTS)[number];

export function isArchitecture(name: string): name is Architecture {
  return Object.hasOwn(ARCHITECTURE_LABEL, name);
}
