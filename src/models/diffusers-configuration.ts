import { z } from "zod";
import { UserError } from "../formats/errors.ts";
import { readJsonFile } from "../formats/json-file.ts";
import type { Prediction, UNetConfiguration, UNetStructure, VaeConfiguration } from "./configuration.ts";

/*
 * The configuration files of a diffusers folder, as far as weights do not tell the same. A missing entry has the default of the
 * class that reads it in diffusers or transformers; an entry that asks for something the graphs do not have is refused.
 */

/** Reads and checks one JSON file; throws "checkpoint.unsupported" with the first entry that does not fit. */
async function readConfiguration<Schema extends z.ZodType>(path: string, schema: Schema): Promise<z.infer<Schema>> {
  const result = schema.safeParse(await readJsonFile(path));
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  throw new UserError("checkpoint.unsupported", `${path}: "${issue.path.join(".")}" is not supported as it is: ${issue.message}.`);
}

/** Entries that must have one value; absent and null both mean the default, which is that value. */
const only = <Value extends string | number | boolean>(value: Value) => z.literal(value).nullish();
const never = z.null().optional();

const modelIndexSchema = z.looseObject({ _class_name: z.string() });

/** Which folders a model_index.json names; an entry of nulls is a component that the pipeline does without. */
export async function readModelIndex(path: string): Promise<{ readonly pipeline: string; readonly components: ReadonlySet<string> }> {
  const { _class_name: pipeline, ...entries } = await readConfiguration(path, modelIndexSchema);
  const components = Object.entries(entries).filter(([, value]) => Array.isArray(value) && typeof value[1] === "string");
  return { pipeline, components: new Set(components.map(([name]) => name)) };
}

const headsSchema = z.union([z.int().positive(), z.array(z.int().positive()).nonempty()]);

const unetSchema = z.looseObject({
  attention_head_dim: headsSchema.nullish(),
  num_attention_heads: headsSchema.nullish(),
  act_fn: only("silu"),
  norm_num_groups: only(32),
  flip_sin_to_cos: only(true),
  freq_shift: only(0),
  center_input_sample: only(false),
  dual_cross_attention: only(false),
  only_cross_attention: only(false),
  resnet_time_scale_shift: only("default"),
  addition_embed_type: only("text_time"),
  addition_time_embed_dim: only(256),
  class_embed_type: never,
  encoder_hid_dim_type: never,
  time_cond_proj_dim: never,
});

/** How a UNet's attention is split; diffusers' attention_head_dim is, for historical reasons, the number of heads. */
export async function readUNetHeads(path: string, unet: UNetStructure): Promise<UNetConfiguration["heads"]> {
  const { attention_head_dim: headDimension, num_attention_heads: headCount } = await readConfiguration(path, unetSchema);
  const heads = headCount ?? headDimension ?? 8;
  if (typeof heads === "number") return { count: heads };
  const widths = unet.levels.map(({ width }, level) => width / (heads[level] ?? Number.NaN));
  const [first] = widths;
  if (first !== undefined && Number.isInteger(first) && widths.every((width) => width === first)) return { width: first };
  if (heads.every((count) => count === heads[0])) return { count: heads[0]! };
  throw new UserError(
    "checkpoint.unsupported",
    `${path}: attention_head_dim [${heads.join(", ")}] gives heads neither of one count nor of one width.`,
  );
}

const textEncoderSchema = z.looseObject({
  hidden_act: z.enum(["quick_gelu", "gelu"]).default("quick_gelu"),
  num_attention_heads: z.int().positive().default(8),
  layer_norm_eps: only(1e-5),
});

/** Activation and heads of a CLIP text encoder (transformers' CLIPTextConfig). */
export async function readTextEncoder(path: string) {
  const { hidden_act: activation, num_attention_heads: heads } = await readConfiguration(path, textEncoderSchema);
  return { activation, heads };
}

const vaeSchema = z.looseObject({
  scaling_factor: z.number().positive().default(0.18215),
  shift_factor: z.number().nullish(),
  latents_mean: never,
  latents_std: never,
  act_fn: only("silu"),
  norm_num_groups: only(32),
  mid_block_add_attention: only(true),
});

export async function readVae(path: string): Promise<Pick<VaeConfiguration, "scale" | "shift">> {
  const { scaling_factor: scale, shift_factor: shift } = await readConfiguration(path, vaeSchema);
  return { scale, shift: shift ?? 0 };
}

const schedulerSchema = z.looseObject({
  prediction_type: z.enum(["epsilon", "v_prediction"]).default("epsilon"),
  beta_start: z.number().positive().optional(),
  beta_end: z.number().positive().optional(),
  beta_schedule: only("scaled_linear"),
  num_train_timesteps: only(1000),
  trained_betas: never,
  rescale_betas_zero_snr: z.boolean().default(false),
});

export interface SchedulerConfiguration {
  readonly prediction: Prediction;
  readonly betaStart: number | undefined;
  readonly betaEnd: number | undefined;
  readonly zeroTerminalSnr: boolean;
}

/** What a scheduler_config.json says about the model's training. */
export async function readScheduler(path: string): Promise<SchedulerConfiguration> {
  const scheduler = await readConfiguration(path, schedulerSchema);
  return {
    prediction: scheduler.prediction_type,
    betaStart: scheduler.beta_start,
    betaEnd: scheduler.beta_end,
    zeroTerminalSnr: scheduler.rescale_betas_zero_snr,
  };
}
