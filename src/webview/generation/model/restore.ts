import type { PictureParameters } from "../../../jobs/results.ts";
import type { EngineChoice } from "../protocol.ts";
import type { GenerationForm } from "./form.ts";

/** A picture's settings in the form, and what of them could not be taken over. */
export interface Restored {
  readonly form: GenerationForm;
  /** Labels with their values, as the picture has them: "Sampler: DPM fast". */
  readonly unknown: readonly string[];
}

/** Fields that the picture has and the form would have, had they been understood. */
const WANTED = ["Sampler", "Schedule type", "Steps", "CFG scale", "Seed", "Size", "Denoising strength"];

/**
 * Puts the parameters that a picture holds into the form; what it does not say stays. The engine is changed where one of the same checkpoint
 * is there. Strength is taken over without the picture it started from, which the parameters do not name.
 */
export function restoreParameters(form: GenerationForm, picture: PictureParameters, engines: readonly EngineChoice[]): Restored {
  const { size, modelHash, others } = picture;
  const text = (value: number | undefined, before: string): string => (value === undefined ? before : String(value));
  const same = modelHash === undefined ? undefined : engines.find(({ fingerprint }) => fingerprint?.startsWith(modelHash) === true);
  return {
    form: {
      ...form,
      engine: same?.path ?? form.engine,
      prompt: picture.prompt,
      negative: picture.negativePrompt,
      steps: text(picture.steps, form.steps),
      cfg: text(picture.cfgScale, form.cfg),
      cfgRescale: /^[\d.]+$/.test(others["CFG rescale"] ?? "") ? others["CFG rescale"]! : "0",
      sampler: picture.sampler ?? form.sampler,
      schedule: picture.schedule ?? form.schedule,
      width: text(size?.width, form.width),
      height: text(size?.height, form.height),
      strength: text(picture.denoisingStrength, form.strength),
      ...(picture.seed !== undefined && { seed: picture.seed, seedMode: "keep" as const }),
      isGrid: false,
    },
    unknown: WANTED.flatMap((label) => (others[label] === undefined ? [] : [`${label}: ${others[label]}`])),
  };
}
