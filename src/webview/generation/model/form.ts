/**
 * What stands in the panel's fields, as typed: a number that is not finished stays what it is. It is kept by the page and the
 * workspace, so what is read back may be of another version.
 */
export interface GenerationForm {
  /** Path of the bundle; empty where none was chosen. */
  readonly engine: string;
  readonly prompt: string;
  readonly negative: string;
  /** Empty: what the engine is tuned for. */
  readonly width: string;
  readonly height: string;
  readonly steps: string;
  readonly cfg: string;
  readonly cfgRescale: string;
  readonly sampler: string;
  readonly schedule: string;
  readonly seed: string;
  readonly seedMode: SeedMode;
  readonly batch: string;
  /** Path of the picture to start from; empty: none. */
  readonly source: string;
  readonly strength: string;
  readonly isGrid: boolean;
  readonly x: AxisForm;
  readonly y: AxisForm;
}

/** Another seed for each picture, the same one, or one more each time. */
export type SeedMode = "random" | "keep" | "next";

export interface AxisForm {
  /** Empty: this direction has none. */
  readonly option: string;
  /** Of the option "lora": the file. */
  readonly lora: string;
  /** Separated by commas. */
  readonly values: string;
}

/** A field that a problem can belong to. */
export type Field = Exclude<keyof GenerationForm, "seedMode" | "isGrid">;

const SEED_MODES: readonly string[] = ["random", "keep", "next"] satisfies SeedMode[];

/** A form with the time when it was kept, in milliseconds. */
export interface KeptForm {
  readonly form: GenerationForm;
  readonly at: number;
}

/**
 * The form that was kept last, by the page itself or by the workspace: a window that is closed in a hurry has written down one of them alone.
 * What was kept may be of another version.
 */
export function latestForm(kept: readonly unknown[], defaults: GenerationForm): GenerationForm {
  const forms = kept.filter((each) => isRecord(each)).filter(({ at }) => typeof at === "number") as { at: number; form?: unknown }[];
  return restoreForm(forms.toSorted((a, b) => b.at - a.at)[0]?.form, defaults);
}

/** A kept form over defaults: only what is of the right kind is taken over. */
export function restoreForm(kept: unknown, defaults: GenerationForm): GenerationForm {
  if (!isRecord(kept)) return defaults;
  const entries = Object.entries(defaults).map(([name, value]) => [name, restoreValue(name, kept[name], value)] as const);
  return Object.fromEntries(entries) as unknown as GenerationForm;
}

function restoreValue(name: string, kept: unknown, value: unknown): unknown {
  if (isRecord(value)) return isRecord(kept) ? restoreAxis(kept, value) : value;
  if (typeof kept !== typeof value) return value;
  return name === "seedMode" && !SEED_MODES.includes(kept as string) ? value : kept;
}

function restoreAxis(kept: Record<string, unknown>, axis: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(axis).map(([name, value]) => [name, typeof kept[name] === "string" ? kept[name] : value]));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
