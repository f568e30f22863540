import type { JobRequest, LoraChoice, Refusal } from "../../webview/generation/protocol.ts";
import type { Jobs, PromptDescription } from "../../worker/protocol.ts";

type GenerateOptions = Jobs["generate"]["options"];
type GridOptions = Jobs["grid"]["options"];
type LoraReference = NonNullable<GenerateOptions["lora"]>[number];

/** A job with all that it takes but the file to write. */
export type PanelJob =
  | { readonly kind: "generate"; readonly options: GenerateOptions }
  | { readonly kind: "grid"; readonly options: GridOptions };

export interface JobSurroundings {
  /** How the engine reads the prompt and the negative prompt. */
  readonly prompts: readonly [PromptDescription, PromptDescription];
  /** The engine's stack, what is switched off left out. */
  readonly stack: readonly LoraReference[];
  readonly loras: readonly LoraChoice[];
  readonly backend: NonNullable<GenerateOptions["backend"]>;
  readonly base: NonNullable<GenerateOptions["base"]>;
  /** Decimal. */
  readonly seed: string;
  /** The sentence for a LoRA that is not there. */
  readonly unknownLora: (name: string) => string;
}

/**
 * The job that the panel asks for: the stack's LoRAs, then those that the prompt names, by the files of the workspace. A prompt that cannot be
 * read, or that names a LoRA that is not there, is refused.
 */
export function toJob({ values }: JobRequest, surroundings: JobSurroundings): PanelJob | Refusal {
  const { prompts, stack, loras, backend, base, seed } = surroundings;
  const [positive, negative] = prompts;
  if (positive.problem !== undefined) return { field: "prompt", message: positive.problem };
  if (negative.problem !== undefined) return { field: "negative", message: negative.problem };
  const files = new Map(loras.map(({ name, file }) => [name, file]));
  const named: LoraReference[] = [];
  for (const { name, scale, textEncoderScale, blockWeights } of positive.loras) {
    const file = files.get(name);
    if (file === undefined) return { field: "prompt", message: surroundings.unknownLora(name) };
    const strengths = {
      scale,
      ...(textEncoderScale !== undefined && { textEncoderScale }),
      ...(blockWeights !== undefined && { blockWeights }),
    };
    named.push({ file, ...strengths });
  }
  const { grid, batch, strength, image, ...shared } = values;
  const options = {
    ...shared,
    sampler: shared.sampler as NonNullable<GenerateOptions["sampler"]>,
    schedule: shared.schedule as NonNullable<GenerateOptions["schedule"]>,
    // The places of LoRAs leave no gaps; a prompt without any stays as it was typed.
    prompt: named.length === 0 ? values.prompt : positive.text.replaceAll(/ {2,}/g, " ").trim(),
    lora: [...stack, ...named],
    backend,
    base,
    seed,
    previewEvery: 1,
    ...(image !== undefined && { image, strength }),
  };
  if (!grid) return { kind: "generate", options: { ...options, batch } };
  return { kind: "grid", options: { ...options, x: toAxis(grid.x), ...(grid.y && { y: toAxis(grid.y) }) } };
}

function toAxis({ option, lora, values: [first, ...others] }: NonNullable<JobRequest["values"]["grid"]>["x"]): GridOptions["x"] {
  return { option, ...(lora !== undefined && { lora }), values: [first!, ...others] };
}
