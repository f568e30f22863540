import type { Engine } from "../engines/engine.ts";
import type { DeviceLatents, DeviceSampling, LatentArithmetic } from "../engines/latents.ts";
import { elementCount, type Tensor } from "../formats/tensor.ts";
import type { VaeConfiguration } from "../models/configuration.ts";
import { denoisingStep, makeDenoiser, type GuidanceOptions } from "./denoiser.ts";
import { HOST_LATENTS } from "./host-latents.ts";
import { imagesFromTensor, type RgbImage } from "./image.ts";
import { decoderInput } from "./latents.ts";
import type { Denoise } from "./samplers/sampler.ts";

/** What is the same in all steps of a run. */
export interface RunInputs {
  /** Of the latents: [B, C, h, w]. */
  readonly dims: readonly number[];
  /** The network's inputs besides the latents and the timesteps: the rows of the negatives, where there is guidance, and then of the positives. */
  readonly inputs: Readonly<Record<string, Tensor>>;
  readonly guidance: GuidanceOptions;
  readonly vae: VaeConfiguration;
}

/** Where a run's latents are kept, and the networks that take them from there. */
export interface SamplingPlace<L> {
  readonly arithmetic: LatentArithmetic<L>;
  readonly denoise: Denoise<L>;
  /** The picture of one image of the final latents, by the VAE decoder. */
  decode(latents: L, image: number): Promise<RgbImage>;
}

/** Latents on the host: every run of a network takes and gives arrays. */
export function hostPlace(engine: Engine, { dims, inputs, guidance, vae }: RunInputs): SamplingPlace<Float32Array> {
  const [batch, ...rest] = dims as [number, ...number[]];
  const size = elementCount(rest);
  return {
    arithmetic: HOST_LATENTS,
    denoise: makeDenoiser({
      ...guidance,
      batch,
      predict: async ({ x, timesteps }) => {
        const rows = timesteps.length;
        const { output } = await engine.run("unet", {
          x: { dims: [rows, ...rest], data: x },
          timesteps: { dims: [rows], data: timesteps },
          ...inputs,
        });
        return output!.data;
      },
    }),
    decode: async (latents, image) => {
      const one = { dims: [1, ...rest], data: latents.subarray(image * size, (image + 1) * size) };
      const { image: pixels } = await engine.run("vae_decoder", { latents: decoderInput(one, vae) });
      return imagesFromTensor(pixels!)[0]!;
    },
  };
}

/** Latents on the GPU that the engine is on. */
export function devicePlace(sampling: DeviceSampling, { guidance, vae }: RunInputs): SamplingPlace<DeviceLatents> {
  return {
    arithmetic: sampling,
    denoise: (x, sigma) => sampling.denoise(x, denoisingStep(guidance, sigma)),
    decode: (latents, image) => sampling.decode(latents, image, vae),
  };
}
