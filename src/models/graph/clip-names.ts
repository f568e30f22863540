import type { TextEncoderConfiguration } from "../configuration.ts";

/** Module paths of one transformer layer of a CLIP text encoder. */
export interface ClipLayerNames {
  readonly attentionNorm: string;
  readonly output: string;
  readonly feedForwardNorm: string;
  readonly up: string;
  readonly down: string;
  /** Paths of the projections to q, k and v, or of the weight and bias that hold all three, one below the other. */
  readonly projections: { readonly separate: readonly [string, string, string] } | { readonly fused: { weight: string; bias: string } };
}

/** Where the weights of a CLIP text encoder stand in one of the two layouts. */
export interface ClipNames {
  readonly tokenEmbedding: string;
  readonly positionEmbedding: string;
  readonly finalNorm: string;
  /** The pooled output's projection and whether it is stored [out, in], as PyTorch's linear layers are, or [in, out]. */
  readonly projection: { readonly weight: string; readonly order: "out-in" | "in-out" };
  readonly layer: (index: number) => ClipLayerNames;
}

export function clipNames({ layout, prefix }: TextEncoderConfiguration): ClipNames {
  return layout === "transformers" ? transformersNames(prefix) : openclipNames(prefix);
}

/** transformers' CLIPTextModel; of CLIPTextModelWithProjection the projection stands beside `text_model.`, not in it. */
function transformersNames(prefix: string): ClipNames {
  return {
    tokenEmbedding: `${prefix}embeddings.token_embedding.weight`,
    positionEmbedding: `${prefix}embeddings.position_embedding.weight`,
    finalNorm: `${prefix}final_layer_norm`,
    projection: { weight: `${prefix.replace(/text_model\.$/, "")}text_projection.weight`, order: "out-in" },
    layer: (index) => {
      const path = `${prefix}encoder.layers.${index}`;
      const attention = `${path}.self_attn`;
      return {
        attentionNorm: `${path}.layer_norm1`,
        output: `${attention}.out_proj`,
        feedForwardNorm: `${path}.layer_norm2`,
        up: `${path}.mlp.fc1`,
        down: `${path}.mlp.fc2`,
        projections: { separate: [`${attention}.q_proj`, `${attention}.k_proj`, `${attention}.v_proj`] },
      };
    },
  };
}

/** OpenCLIP's text tower (https://github.com/mlfoundations/open_clip). */
function openclipNames(prefix: string): ClipNames {
  return {
    tokenEmbedding: `${prefix}token_embedding.weight`,
    positionEmbedding: `${prefix}positional_embedding`,
    finalNorm: `${prefix}ln_final`,
    projection: { weight: `${prefix}text_projection`, order: "in-out" },
    layer: (index) => {
      const path = `${prefix}transformer.resblocks.${index}`;
      return {
        attentionNorm: `${path}.ln_1`,
        output: `${path}.attn.out_proj`,
        feedForwardNorm: `${path}.ln_2`,
        up: `${path}.mlp.c_fc`,
        down: `${path}.mlp.c_proj`,
        projections: { fused: { weight: `${path}.attn.in_proj_weight`, bias: `${path}.attn.in_proj_bias` } },
      };
    },
  };
}
