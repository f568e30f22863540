/** Whose file format a LoRA is in: kohya's trainers (and LyCORIS), PEFT, or diffusers before it used PEFT. */
export type LoraFormat = "kohya" | "peft" | "diffusers";

/** What a tensor of a LoRA file is: a factor of a module's update under its published name, or part of an update that is not applied. */
export type LoraKey =
  | { readonly role: "factor"; readonly module: string; readonly factor: string; readonly format: LoraFormat; readonly adapter?: string }
  | { readonly role: "foreign"; readonly module: string; readonly kind: string };

/** PEFT puts an adapter's name after the factor's, where it does not leave it out. */
const ADAPTER = String.raw`(?:\.(?<adapter>[^.]+))?`;

/**
 * The tensors' names in each format; a factor that is not fixed is the group `factor`. (IA)³'s "weight" is not here: `parseLoraKey`
 * takes it only where it is told that the module has "on_input" beside it.
 */
const FACTORS: readonly (readonly [pattern: RegExp, format: LoraFormat, factor?: string])[] = [
  [/^(?<module>.+)\.(?<factor>lora_(?:up|down|mid))\.weight$/s, "kohya"],
  [new RegExp(String.raw`^(?<module>.+)\.lora_A${ADAPTER}\.weight$`, "s"), "peft", "lora_down"],
  [new RegExp(String.raw`^(?<module>.+)\.lora_B${ADAPTER}\.weight$`, "s"), "peft", "lora_up"],
  [new RegExp(String.raw`^(?<module>.+)\.lora_B${ADAPTER}\.bias$`, "s"), "peft", "lora_bias"],
  [/^(?<module>.+)\.lora(?:_linear_layer)?\.up\.weight$/s, "diffusers", "lora_up"],
  [/^(?<module>.+)\.lora(?:_linear_layer)?\.down\.weight$/s, "diffusers", "lora_down"],
  [/^(?<module>.+\.to_(?:q|k|v|out)_lora)\.up\.weight$/s, "diffusers", "lora_up"],
  [/^(?<module>.+\.to_(?:q|k|v|out)_lora)\.down\.weight$/s, "diffusers", "lora_down"],
  [/^(?<module>.+)\.(?<factor>alpha|dora_scale|rescale|oft_blocks|oft_diag|on_input)$/s, "kohya"],
  [/^(?<module>.+)\.(?<factor>a1|a2|b1|b2)\.weight$/s, "kohya"],
  [/^(?<module>.+)\.(?<factor>diff|diff_b|w_norm|b_norm|set_weight|bias_indices|bias_values|bias_size)$/s, "kohya"],
  [new RegExp(String.raw`^(?<module>.+)\.(?<factor>lora_magnitude_vector)${ADAPTER}(?:\.weight)?$`, "s"), "peft"],
  [new RegExp(String.raw`^(?<module>.+)\.(?<factor>hada_w[12]_[ab]|hada_t[12]|lokr_w[12](?:_[ab])?|lokr_t2)${ADAPTER}$`, "s"), "kohya"],
  [new RegExp(String.raw`^(?<module>.+)\.(?<factor>oft_R)${ADAPTER}\.weight$`, "s"), "peft"],
  [new RegExp(String.raw`^(?<module>.+)\.(?<factor>oft_r|oft_s|boft_R|boft_s|ia3_l)${ADAPTER}$`, "s"), "peft"],
];

/** Tensors of kinds of update that are not applied, by the names their authors publish. */
const FOREIGN: readonly (readonly [RegExp, string])[] = [
  [/^(?<module>.+)\.lora_E(?:\.[^.]+)?$/s, "AdaLoRA"],
  [/^(?<module>.+)\.lora_embedding_[AB](?:\.[^.]+)?$/s, "a LoRA of an embedding"],
  [/^(?<module>.+)\.(?:vera_lambda_\w+|vera_[AB])(?:\.[^.]+)?$/s, "VeRA"],
  [/^(?<module>.+)\.(?:hra_u|randlora_\w+|fourierft_\w+|c3a_\w+)(?:\.[^.]+)?$/s, "a kind of PEFT adapter"],
  [/^(?<module>.+)\.bm\.weight$/s, "GLoRA with a Tucker core"],
  [/^(?<module>.+)\.lokr_t1$/s, "LoKr with two Tucker cores"],
  [/^(?<module>.+)\.reshape_weight$/s, "a LoRA that widens the weight"],
  [/^(?<module>.+)\.lora_(?:up|down)\.bias$/s, "a LoRA with biases inside"],
  [/^(?<module>bundle_emb\.[^.]+)\..+$/s, "an embedding (textual inversion)"],
];

/**
 * Reads a tensor's name; undefined for one that no LoRA format known here has.
 * @param ia3Modules the modules that have an "on_input", whose "weight" is (IA)³'s
 */
export function parseLoraKey(name: string, ia3Modules: ReadonlySet<string> = new Set()): LoraKey | undefined {
  for (const [pattern, kind] of FOREIGN) {
    const module = pattern.exec(name)?.groups?.["module"];
    if (module !== undefined) return { role: "foreign", module: modulePath(module), kind };
  }
  for (const [pattern, format, fixed] of FACTORS) {
    const groups = pattern.exec(name)?.groups;
    if (!groups) continue;
    const { module, factor = fixed!, adapter } = groups as { module: string; factor?: string; adapter?: string };
    return { role: "factor", module: modulePath(module), factor, format, ...(adapter === undefined ? {} : { adapter }) };
  }
  const module = name.endsWith(".weight") ? name.slice(0, -".weight".length) : "";
  return ia3Modules.has(module) ? { role: "factor", module, factor: "ia3_weight", format: "kohya" } : undefined;
}

/** The modules that an "on_input" marks as (IA)³'s of LyCORIS. */
export function findIa3Modules(names: Iterable<string>): Set<string> {
  const modules = new Set<string>();
  for (const name of names) if (name.endsWith(".on_input")) modules.add(name.slice(0, -".on_input".length));
  return modules;
}

/**
 * The module's own path. Files of diffusers' attention processors name the LoRA layer beside the projection:
 * "attn1.processor.to_out_lora" is "attn1.to_out.0", a text encoder's "self_attn.to_q_lora" is "self_attn.q_proj".
 */
function modulePath(path: string): string {
  const match = /^(.+?)(\.processor)?\.to_(q|k|v|out)_lora$/s.exec(path);
  if (!match) return path;
  const [, attention, , projection] = match;
  if (attention!.endsWith("self_attn")) return `${attention}.${projection}_proj`;
  return `${attention}.to_${projection === "out" ? "out.0" : projection}`;
}
