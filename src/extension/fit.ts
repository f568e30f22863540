import type { Summary } from "./files.ts";

/** What a header has to say to tell what fits what. */
type Fitting = { readonly summary: Pick<Summary, "kind" | "architecture" | "fingerprint"> };

/**
 * Whether a LoRA or delta can be applied to an engine, as far as both headers say: a delta belongs to one checkpoint, a LoRA to
 * an architecture. Undefined where they do not say: the job looks closer.
 */
export function fits({ summary }: Fitting, engine: Fitting): boolean | undefined {
  if (summary.kind === "delta" && summary.fingerprint !== undefined) return summary.fingerprint === engine.summary.fingerprint;
  if (summary.architecture === undefined || engine.summary.architecture === undefined) return undefined;
  return summary.architecture === engine.summary.architecture;
}

/** The engines that a LoRA or delta can be applied to; undefined where headers do not say, as of files that were not looked into yet. */
export function fittingEngines<Engine extends Fitting>(file: Fitting, engines: readonly Engine[]): Engine[] | undefined {
  if (file.summary.kind !== "lora" && file.summary.kind !== "delta") return undefined;
  const answers = engines.map((engine) => fits(file, engine));
  return answers.includes(undefined) ? undefined : engines.filter((_, index) => answers[index]);
}

/**
 * Path of the one engine or checkpoint that fits a LoRA or delta, as far as headers say; undefined where none does, or several. An
 * engine and the checkpoint that it was exported from are one model, and the engine is taken.
 * @param checkpointOf the checkpoint with this fingerprint: headers of checkpoints do not tell theirs
 */
export async function onlyFit(
  adapter: Fitting,
  models: readonly (Fitting & { readonly path: string })[],
  checkpointOf: (fingerprint: string) => Promise<string | undefined>,
): Promise<string | undefined> {
  const fitting = models.filter((model) => fits(adapter, model) !== false);
  const engines = fitting.filter(({ summary }) => summary.kind === "engine bundle");
  const checkpoints = fitting.filter(({ summary }) => summary.kind === "checkpoint");
  const [fingerprint, ...others] = new Set(engines.map(({ summary }) => summary.fingerprint));
  if (fingerprint === undefined) return checkpoints.length === 1 ? checkpoints[0]!.path : undefined;
  const source = checkpoints.length === 0 ? undefined : await checkpointOf(fingerprint);
  const isOnly = others.length === 0 && checkpoints.every(({ path }) => path === source);
  return isOnly ? engines[0]!.path : undefined;
}
