/*
 * The names under which the WebUI family (AUTOMATIC1111 and its forks) writes samplers and schedules, "Sampler" and "Schedule
 * type" in a picture's parameters. The three `timestep_spacing` schedules of diffusers have no label there: ours are their names.
 */

const SAMPLER_LABELS = {
  euler: "Euler",
  euler_ancestral: "Euler a",
  heun: "Heun",
  dpm_2: "DPM2",
  dpmpp_2m: "DPM++ 2M",
  dpmpp_2m_sde: "DPM++ 2M SDE",
  dpmpp_sde: "DPM++ SDE",
  ddim: "DDIM",
  uni_pc: "UniPC",
  lcm: "LCM",
} as const;

const SCHEDULE_LABELS = {
  normal: "Normal",
  karras: "Karras",
  exponential: "Exponential",
  simple: "Simple",
  sgm_uniform: "SGM Uniform",
  beta: "Beta",
  ddim_uniform: "DDIM",
  leading: "Leading",
  linspace: "Linspace",
  trailing: "Trailing",
} as const;

export type SamplerName = keyof typeof SAMPLER_LABELS;
export type ScheduleName = keyof typeof SCHEDULE_LABELS;

export function samplerLabel(name: SamplerName): string {
  return SAMPLER_LABELS[name];
}

export function scheduleLabel(name: ScheduleName): string {
  return SCHEDULE_LABELS[name];
}

/**
 * The sampler a label means, and the schedule where the label says it too: before version 1.9 the WebUI wrote both as one,
 * "DPM++ 2M Karras". Undefined for samplers that we do not have.
 */
export function parseSamplerLabel(label: string): { readonly sampler: SamplerName; readonly schedule?: ScheduleName } | undefined {
  const sampler = nameOf(SAMPLER_LABELS, label);
  if (sampler) return { sampler };
  const [, first, last] = /^(.+) (Karras|Exponential)$/i.exec(label) ?? [];
  const combined = nameOf(SAMPLER_LABELS, first);
  const schedule = nameOf(SCHEDULE_LABELS, last);
  return combined && schedule && { sampler: combined, schedule };
}

/** The schedule a label means; undefined for schedules that we do not have ("Automatic" among them). */
export function parseScheduleLabel(label: string): ScheduleName | undefined {
  return nameOf(SCHEDULE_LABELS, label);
}

function nameOf<Name extends string>(labels: Readonly<Record<Name, string>>, label: string | undefined): Name | undefined {
  return (Object.keys(labels) as Name[]).find((name) => labels[name].toLowerCase() === label?.toLowerCase());
}
