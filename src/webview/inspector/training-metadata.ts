/** Keys that tell what a person types to get what a LoRA was trained on. */
const TRIGGER_KEYS = ["modelspec.trigger_phrase", "ss_trigger_words", "trigger_words", "activation text", "trained_words"];

/** Settings of kohya's scripts (https://github.com/kohya-ss/sd-scripts) that people look for, in that order. */
const SETTINGS = [
  "ss_output_name",
  "ss_base_model_version",
  "ss_sd_model_name",
  "ss_network_module",
  "ss_network_dim",
  "ss_network_alpha",
  "ss_network_args",
  "ss_learning_rate",
  "ss_unet_lr",
  "ss_text_encoder_lr",
  "ss_optimizer",
  "ss_lr_scheduler",
  "ss_lr_warmup_steps",
  "ss_epoch",
  "ss_num_epochs",
  "ss_steps",
  "ss_max_train_steps",
  "ss_num_train_images",
  "ss_dataset_dirs",
  "ss_batch_size_per_device",
  "ss_gradient_accumulation_steps",
  "ss_resolution",
  "ss_enable_bucket",
  "ss_mixed_precision",
  "ss_clip_skip",
  "ss_noise_offset",
  "ss_min_snr_gamma",
  "ss_seed",
  "ss_training_comment",
  "ss_training_started_at",
  "ss_training_finished_at",
];

/** How settings are read that are more than a word or a number. */
const READERS: Readonly<Record<string, (text: string) => string>> = {
  ss_dataset_dirs: datasetFolders,
  ss_training_started_at: timeOf,
  ss_training_finished_at: timeOf,
};

/** Tags shown at first; the rest on demand. */
export interface TagCount {
  readonly tag: string;
  readonly count: number;
}

export interface TrainingMetadata {
  readonly triggerWords: readonly string[];
  /** Key and value, as people read them. */
  readonly settings: readonly (readonly [string, string])[];
  /** In falling order, over all folders that were trained on. */
  readonly tags: readonly TagCount[];
}

/** What the metadata of a LoRA's trainer say. They are texts of anyone's making: nothing of them is trusted to be what it should be. */
export function trainingMetadata(metadata: Readonly<Record<string, string>>): TrainingMetadata {
  const words = TRIGGER_KEYS.flatMap((key) => listOf(metadata[key]));
  const settings = SETTINGS.flatMap((key): [string, string][] => {
    const value = metadata[key];
    return value === undefined || value === "" || value === "None" ? [] : [[key.replace(/^ss_/, ""), READERS[key]?.(value) ?? value]];
  });
  return { triggerWords: Array.from(new Set(words)), settings, tags: tagCounts(metadata["ss_tag_frequency"]) };
}

/** A list in JSON, or words with commas. */
function listOf(text: string | undefined): string[] {
  if (text === undefined || text.trim() === "") return [];
  const value = parseJson(text);
  const words = Array.isArray(value) ? value.filter((word) => typeof word === "string") : text.split(",");
  return words.map((word) => word.trim()).filter((word) => word !== "");
}

/** Seconds since 1970, as kohya's scripts write them. */
function timeOf(text: string): string {
  const seconds = Number(text);
  const time = new Date(seconds * 1000);
  return Number.isFinite(seconds) && !Number.isNaN(time.getTime()) ? time.toLocaleString() : text;
}

/** kohya's {folder: {n_repeats, img_count}}: "10_cat: 24 × 10", pictures and how often each is taken. */
function datasetFolders(text: string): string {
  const folders = parseJson(text);
  if (!isObject(folders)) return text;
  const lines = Object.entries(folders).map(([folder, counts]: [string, unknown]) => {
    const { img_count: pictures, n_repeats: repeats } = isObject(counts) ? (counts as Readonly<Record<string, unknown>>) : {};
    return typeof pictures === "number" && typeof repeats === "number" ? `${folder}: ${pictures} × ${repeats}` : folder;
  });
  return lines.join("\n");
}

/** kohya's {folder: {tag: count}}. */
function tagCounts(text: string | undefined): TagCount[] {
  const folders = parseJson(text ?? "");
  if (!isObject(folders)) return [];
  const counts = new Map<string, number>();
  for (const tags of Object.values(folders)) {
    if (!isObject(tags)) continue;
    for (const [tag, count] of Object.entries(tags)) {
      if (typeof count === "number" && Number.isFinite(count)) counts.set(tag.trim(), (counts.get(tag.trim()) ?? 0) + count);
    }
  }
  return Array.from(counts, ([tag, count]) => ({ tag, count })).toSorted((a, b) => b.count - a.count || a.tag.localeCompare(b.tag));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
