import type { Prediction, UNetStructure } from "./configuration.ts";
import { UNET_PREFIX } from "./unet-parts.ts";

/** Names of metadata entries that say what a UNet predicts: the model specification's, ComfyUI's, kohya's. */
const PREDICTION_ENTRIES: readonly string[] = ["modelspec.prediction_type", "modelspec.predict_key", "ss_v_parameterization"];

const PREDICTIONS: ReadonlyMap<string, Prediction> = new Map([
  ["epsilon", "epsilon"],
  ["eps", "epsilon"],
  ["false", "epsilon"],
  ["v", "v_prediction"],
  ["v_prediction", "v_prediction"],
  ["true", "v_prediction"],
]);

/** What a single file says about its prediction, or undefined where it says nothing. */
export function declaredPrediction(has: (name: string) => boolean, metadata: ReadonlyMap<string, string>): Prediction | undefined {
  if (has("v_pred")) return "v_prediction";
  for (const entry of PREDICTION_ENTRIES) {
    const prediction = PREDICTIONS.get(metadata.get(entry)?.toLowerCase() ?? "");
    if (prediction) return prediction;
  }
  return metadata.get("modelspec.architecture")?.startsWith("stable-diffusion-v2-768-v") ? "v_prediction" : undefined;
}

/** Whether a single file says that it was trained with a schedule that ends in pure noise (arXiv:2305.08891). */
export function declaredZeroTerminalSnr(has: (name: string) => boolean, metadata: ReadonlyMap<string, string>): boolean {
  return has("ztsnr") || metadata.get("ss_zero_terminal_snr")?.toLowerCase() === "true";
}

/** The weight that tells SD2.x's two predictions apart, see `sd2Prediction`. */
export const SD2_PREDICTION_WEIGHT = `${UNET_PREFIX}output_blocks.11.1.transformer_blocks.0.norm1.bias`;

/** Whether the weights have to be asked: SD2.x has both kinds, of the same keys and shapes; its inpainting model is always epsilon. */
export function asksWeightsForPrediction(unet: UNetStructure): boolean {
  return unet.linearProjections && unet.admWidth === 0 && unet.inChannels === 4;
}

/**
 * SD2.x's prediction by the spread of one bias, as ComfyUI tells it (`comfy/supported_models.py`, SD20): the standard deviation is
 * above 0.09 in the models trained on v.
 */
export function sd2Prediction(bias: Float32Array): Prediction {
  const mean = bias.reduce((sum, value) => sum + value, 0) / bias.length;
  const variance = bias.reduce((sum, value) => sum + (value - mean) ** 2, 0) / bias.length;
  return Math.sqrt(variance) > 0.09 ? "v_prediction" : "epsilon";
}
