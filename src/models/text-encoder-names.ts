import type { TextEncoderConfiguration } from "./configuration.ts";

/** Where a text encoder's module keeps its weight. */
export interface TextEncoderModule {
  /** The weight's full name in the checkpoint, ending in ".weight" where the checkpoint's does. */
  readonly weight: string;
  /** Its bias, where the module has one. */
  readonly bias?: string;
  /** Rows [start, end) of `weight` (and of `bias`) that are this module's, where several modules share one fused weight. */
  readonly rows?: { readonly start: number; readonly end: number };
  /** True where the checkpoint holds the matrix as [in, out] instead of [out, in] (OpenCLIP's text_projection). */
  readonly transposed?: boolean;
}

/**
 * The modules of a text encoder by the names that transformers' CLIPTextModel, and so every LoRA, gives them
 * ("text_model.encoder.layers.3.self_attn.q_proj", "text_projection"), whatever layout the checkpoint has.
 * OpenCLIP keeps q, k and v as rows of one in_proj (torch.nn.MultiheadAttention).
 */
export function textEncoderModules(encoder: TextEncoderConfiguration): Map<string, TextEncoderModule> {
  return encoder.layout === "openclip" ? openClipModules(encoder) : transformersModules(encoder);
}

/** The key of the pooled output's projection: beside "text_model." in transformers' layout, inside the model in OpenCLIP's. */
export function textProjectionName({ layout, prefix }: Pick<TextEncoderConfiguration, "layout" | "prefix">): string {
  return layout === "openclip" ? `${prefix}text_projection` : `${prefix.slice(0, -"text_model.".length)}text_projection.weight`;
}

function transformersModules(encoder: TextEncoderConfiguration): Map<string, TextEncoderModule> {
  const { prefix, layers, projectionWidth } = encoder;
  const modules = new Map<string, TextEncoderModule>();
  const add = (name: string, hasBias: boolean) => {
    const weight = `${prefix}${name}.weight`;
    modules.set(`text_model.${name}`, hasBias ? { weight, bias: `${prefix}${name}.bias` } : { weight });
  };
  add("embeddings.token_embedding", false);
  add("embeddings.position_embedding", false);
  for (let layer = 0; layer < layers; layer++) {
    for (const [theirs] of LAYER_MODULES) add(`encoder.layers.${layer}.${theirs}`, true);
    for (const projection of FUSED_PROJECTIONS) add(`encoder.layers.${layer}.self_attn.${projection}`, true);
  }
  add("final_layer_norm", true);
  if (projectionWidth > 0) modules.set("text_projection", { weight: textProjectionName(encoder) });
  return modules;
}

/** transformers' name of a layer's module, then OpenCLIP's. */
const LAYER_MODULES: readonly (readonly [string, string])[] = [
  ["layer_norm1", "ln_1"],
  ["self_attn.out_proj", "attn.out_proj"],
  ["layer_norm2", "ln_2"],
  ["mlp.fc1", "mlp.c_fc"],
  ["mlp.fc2", "mlp.c_proj"],
];

/** In the order of in_proj's rows. */
const FUSED_PROJECTIONS: readonly string[] = ["q_proj", "k_proj", "v_proj"];

function openClipModules(encoder: TextEncoderConfiguration): Map<string, TextEncoderModule> {
  const { prefix, layers, width, projectionWidth } = encoder;
  const modules = new Map<string, TextEncoderModule>();
  modules.set("text_model.embeddings.token_embedding", { weight: `${prefix}token_embedding.weight` });
  modules.set("text_model.embeddings.position_embedding", { weight: `${prefix}positional_embedding` });
  for (let layer = 0; layer < layers; layer++) {
    const theirs = `text_model.encoder.layers.${layer}`;
    const ours = `${prefix}transformer.resblocks.${layer}`;
    for (const [theirModule, ourModule] of LAYER_MODULES) {
      modules.set(`${theirs}.${theirModule}`, { weight: `${ours}.${ourModule}.weight`, bias: `${ours}.${ourModule}.bias` });
    }
    FUSED_PROJECTIONS.forEach((projection, index) => {
      modules.set(`${theirs}.self_attn.${projection}`, {
        weight: `${ours}.attn.in_proj_weight`,
        bias: `${ours}.attn.in_proj_bias`,
        rows: { start: index * width, end: (index + 1) * width },
      });
    });
  }
  modules.set("text_model.final_layer_norm", { weight: `${prefix}ln_final.weight`, bias: `${prefix}ln_final.bias` });
  if (projectionWidth > 0) modules.set("text_projection", { weight: textProjectionName(encoder), transposed: true });
  return modules;
}
