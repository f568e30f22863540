import { UserError } from "../formats/errors.ts";
import type { Tensor } from "../formats/tensor.ts";
import type { VaeConfiguration } from "../models/configuration.ts";

const LOWEST_LOG_VARIANCE = -30;
const HIGHEST_LOG_VARIANCE = 20;

/**
 * Latents as the UNet takes them, from a VAE encoder's output. The moments [B, 2C, h, w] are mean and log variance of a
 * normal distribution; one sample of it is (mean + noise·e^(½·log variance) − shift)·scale, the log variance being kept
 * within −30 and 20, as diffusers' `DiagonalGaussianDistribution` does.
 *
 * @param noise unit-variance noise [B, C, h, w].
 */
export function latentsFromMoments(moments: Tensor, noise: Tensor, { scale, shift }: Pick<VaeConfiguration, "scale" | "shift">): Tensor {
  const [batch, doubled, height, width] = moments.dims as [number, number, number, number];
  const half = (doubled / 2) * height * width;
  if (noise.data.length !== batch * half) {
    throw new UserError(
      "option.invalid",
      `The noise has the shape [${noise.dims.join(", ")}], the latents have [${[batch, doubled / 2, height, width].join(", ")}]: use noise of the latents' shape.`,
    );
  }
  const data = new Float32Array(batch * half);
  for (let image = 0; image < batch; image++) {
    for (let index = 0; index < half; index++) {
      const mean = moments.data[image * 2 * half + index]!;
      const logVariance = moments.data[image * 2 * half + half + index]!;
      const deviation = Math.exp(0.5 * Math.min(Math.max(logVariance, LOWEST_LOG_VARIANCE), HIGHEST_LOG_VARIANCE));
      data[image * half + index] = (mean + deviation * noise.data[image * half + index]! - shift) * scale;
    }
  }
  return { dims: [batch, doubled / 2, height, width], data };
}

/** What the VAE decoder takes: the UNet's latents with scale and shift undone, latents/scale + shift. */
export function decoderInput(latents: Tensor, { scale, shift }: Pick<VaeConfiguration, "scale" | "shift">): Tensor {
  return { dims: latents.dims, data: latents.data.map((value) => value / scale + shift) };
}
