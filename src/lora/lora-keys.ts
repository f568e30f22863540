/** Whose file format a LoRA is in: kohya's trainers (and LyCORIS), PEFT, or diffusers before it used PEFT. */
export type LoraFormat = "kohya" | "peft" | "diffusers";

/** What a tensor of a LoRA file is for: a factor of a module's update, or part of a kind of update that is not applied here. */
export type LoraKey =
  | { readonly role: "up" | "down"; readonly module: string; readonly format: LoraFormat; readonly adapter?: string }
  | { readonly role: "alpha"; readonly module: string }
  | { readonly role: "foreign"; readonly module: string; readonly kind: string };

const FACTORS: readonly (readonly [RegExp, LoraFormat])[] = [
  [/^(?<module>.+)\.lora_(?<role>up|down)\.weight$/s, "kohya"],
  [/^(?<module>.+)\.lora_(?<role>[AB])(?:\.(?<adapter>[^.]+))?\.weight$/s, "peft"],
  [/^(?<module>.+)\.lora(?:_linear_layer)?\.(?<role>up|down)\.weight$/s, "diffusers"],
  [/^(?<module>.+\.to_(?:q|k|v|out)_lora)\.(?<role>up|down)\.weight$/s, "diffusers"],
];

/** Tensors of other kinds of update, by the names their authors publish (LyCORIS, kohya's scripts, PEFT). */
const FOREIGN: readonly (readonly [RegExp, string])[] = [
  [/^(?<module>.+)\.lora_mid\.weight$/s, "LoCon with a Tucker core (lora_mid)"],
  [/^(?<module>.+)\.(?:dora_scale|lora_magnitude_vector(?:\.[^.]+)?(?:\.weight)?)$/s, "DoRA"],
  [/^(?<module>.+)\.hada_[wt]\w+$/s, "LoHa"],
  [/^(?<module>.+)\.lokr_\w+$/s, "LoKr"],
  [/^(?<module>.+)\.(?:oft|boft)_\w+(?:\.[^.]+)?(?:\.weight)?$/s, "OFT"],
  [/^(?<module>.+)\.(?:ia3_l(?:\.[^.]+)?|on_input)$/s, "(IA)³"],
  [/^(?<module>.+)\.[ab][12]\.weight$/s, "GLoRA"],
  [/^(?<module>.+)\.diff(?:_b)?$/s, "a full difference of weights"],
  [/^(?<module>.+)\.(?:w|b)_norm$/s, "a change of a normalization layer"],
  [/^(?<module>.+)\.lora_(?:up|down|[AB](?:\.[^.]+)?)\.bias$/s, "a LoRA with biases"],
  [/^(?<module>.+)\.lora_embedding_[AB](?:\.[^.]+)?$/s, "a LoRA of an embedding"],
  [/^(?<module>bundle_emb\.[^.]+)\..+$/s, "an embedding (textual inversion)"],
];

/** Reads a tensor's name; undefined for one that no LoRA format known here has. */
export function parseLoraKey(name: string): LoraKey | undefined {
  for (const [pattern, format] of FACTORS) {
    const groups = pattern.exec(name)?.groups;
    if (!groups) continue;
    const role = groups["role"] === "up" || groups["role"] === "B" ? "up" : "down";
    const adapter = groups["adapter"];
    return { role, module: modulePath(groups["module"]!), format, ...(adapter === undefined ? {} : { adapter }) };
  }
  for (const [pattern, kind] of FOREIGN) {
    const module = pattern.exec(name)?.groups?.["module"];
    if (module !== undefined) return { role: "foreign", module: modulePath(module), kind };
  }
  const module = /^(.+)\.alpha$/s.exec(name)?.[1];
  return module === undefined ? undefined : { role: "alpha", module: modulePath(module) };
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
