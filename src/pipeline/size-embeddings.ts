import type { Tensor } from "../formats/tensor.ts";

/** The width of the embedding of one number in SDXL's `y`. */
const EMBEDDING_WIDTH = 256;
const MAX_PERIOD = 10_000;
/** diffusers' defaults for the refiner: the score asked for, and the one steered away from. */
const AESTHETIC_SCORE = 6;
const NEGATIVE_AESTHETIC_SCORE = 2.5;

/** Pixels. SDXL was trained on crops of rescaled pictures and is told their sizes (arXiv:2307.01952, section 2.2). */
export interface ImageSizes {
  readonly originalHeight: number;
  readonly originalWidth: number;
  readonly cropTop: number;
  readonly cropLeft: number;
  readonly targetHeight: number;
  readonly targetWidth: number;
}

/** The sizes of a picture that is not a crop. */
export function uncroppedSizes(height: number, width: number): ImageSizes {
  return { originalHeight: height, originalWidth: width, cropTop: 0, cropLeft: 0, targetHeight: height, targetWidth: width };
}

/**
 * Sinusoidal embedding of numbers, each [cos(v·f_0 …), sin(v·f_0 …)] with f_i = 10000^(−i/(width/2)), joined: diffusers'
 * `get_timestep_embedding` with `flip_sin_to_cos` and no frequency shift, in float32 as there.
 *
 * @param width even; the result has values.length · width numbers.
 */
export function sinusoidalEmbedding(values: readonly number[], width: number): Float32Array {
  const half = width / 2;
  const embedding = new Float32Array(values.length * width);
  const rate = Math.fround(-Math.log(MAX_PERIOD));
  values.forEach((value, index) => {
    for (let i = 0; i < half; i++) {
      const frequency = Math.fround(Math.exp(Math.fround(Math.fround(rate * i) / half)));
      const angle = Math.fround(Math.fround(value) * frequency);
      embedding[index * width + i] = Math.cos(angle);
      embedding[index * width + half + i] = Math.sin(angle);
    }
  });
  return embedding;
}

/**
 * The input `y` of SDXL's UNet: pooled text [rows, P], then the embeddings of the sizes, height before width: original,
 * crop (top, left), target: [rows, P + 6·256]. The refiner takes an aesthetic score instead of the target size, which is
 * lower for negative prompts: [rows, P + 5·256].
 *
 * @param negativeRows how many of the rows, from the first on, belong to negative prompts.
 */
export function sizeEmbeddings(architecture: "sdxl" | "sdxl-refiner", pooled: Tensor, sizes: ImageSizes, negativeRows: number): Tensor {
  const [rows, pooledWidth] = pooled.dims as [number, number];
  const { originalHeight, originalWidth, cropTop, cropLeft, targetHeight, targetWidth } = sizes;
  const place = [originalHeight, originalWidth, cropTop, cropLeft];
  const numbersOf = (row: number) => {
    if (architecture === "sdxl") return [...place, targetHeight, targetWidth];
    return [...place, row < negativeRows ? NEGATIVE_AESTHETIC_SCORE : AESTHETIC_SCORE];
  };
  const width = pooledWidth + numbersOf(0).length * EMBEDDING_WIDTH;
  const data = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    data.set(pooled.data.subarray(row * pooledWidth, (row + 1) * pooledWidth), row * width);
    data.set(sinusoidalEmbedding(numbersOf(row), EMBEDDING_WIDTH), row * width + pooledWidth);
  }
  return { dims: [rows, width], data };
}
