import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Engine, Inputs, Outputs } from "../../src/engines/engine.ts";
import { SafetensorsFile } from "../../src/formats/safetensors.ts";
import type { LoadedBundle } from "../../src/jobs/engine-cache.ts";
import { columnsOf } from "../../src/lora/linear-algebra/vectors.ts";
import { describeCheckpoint } from "../../src/models/full-size.ts";
import { fitLinearDecoder, leastSquares } from "../../src/pipeline/fit-linear-decoder.ts";
import { decoderInput } from "../../src/pipeline/latents.ts";
import { linearDecoder, publishedDecoder } from "../../src/pipeline/linear-decoder.ts";
import { randomTensor, TorchGenerator } from "../../src/pipeline/noise.ts";
import { imagesFromTensor, type RgbImage } from "../../src/pipeline/image.ts";
import { previewImage, type LinearDecoder } from "../../src/pipeline/preview.ts";
import { CHECKPOINT, newEngines, recordingContext, REFERENCE, run, temporaryFolder } from "./jobs-support.ts";
import { hasPython, python } from "./tools-support.ts";

const VAE = { latentChannels: 4, factor: 8, scale: 0.13025, shift: 0.1 } as const;
const SIZE = { width: 64, height: 64 } as const;

/** An engine whose VAE decoder is linear, but for what `spoil` makes of it. */
function linearEngine({ factors, bias }: LinearDecoder, spoil = (value: number): number => value) {
  const shapes: (readonly number[])[] = [];
  const decode = ({ latents }: Inputs): Outputs => {
    const { dims, data } = latents!;
    shapes.push(dims);
    const [, channels, height, width] = dims as [number, number, number, number];
    const [tall, wide] = [height * VAE.factor, width * VAE.factor];
    const image = Float32Array.from({ length: 3 * tall * wide }, (_, index) => {
      const [color, y, x] = [Math.floor(index / (tall * wide)), Math.floor(index / wide) % tall, index % wide];
      let value = bias[color]!;
      for (let channel = 0; channel < channels; channel++) {
        const at = (channel * height + Math.floor(y / VAE.factor)) * width + Math.floor(x / VAE.factor);
        value += factors[channel]![color]! * (data[at]! - VAE.shift) * VAE.scale;
      }
      return spoil(value);
    });
    return { image: { dims: [1, 3, tall, wide], data: image } };
  };
  const engine = { run: (_component: string, inputs: Inputs) => Promise.resolve(decode(inputs)) } as unknown as Engine;
  return { engine, shapes };
}

/** Its colours stay far from black and full, where a decoder is linear no longer. */
function mild({ factors, bias }: LinearDecoder): LinearDecoder {
  const dim = ([red, green, blue]: LinearDecoder["bias"]) => [red / 10, green / 10, blue / 10] as const;
  return { factors: factors.map(dim), bias: dim(bias) };
}

describe("least squares", () => {
  test.skipIf(!hasPython)("give numpy's answer", () => {
    const rows = 40;
    const system = randomTensor(new TorchGenerator(1n), [rows, 8]).data;
    const script = `import json, sys, numpy as np
m = np.array(json.loads(sys.argv[1])).reshape(-1, 8)
print(json.dumps(np.linalg.lstsq(m[:, :5], m[:, 5:], rcond=None)[0].T.tolist()))`;
    const expected = python(script, JSON.stringify([...system])) as number[][];
    const found = leastSquares(columnsOf(system, 8), 3);
    found.forEach((x, side) => x.forEach((value, at) => expect(value).toBeCloseTo(expected[side]![at]!, 10)));
  });
});

describe("a linear decoder that is fitted", () => {
  test.each(["sd1", "sdxl"] as const)("to one that is linear, with the factors of %s, is that one", async (architecture) => {
    const decoder = mild(publishedDecoder(architecture, describeCheckpoint(architecture).configuration)!);
    const { factors, bias } = (await fitLinearDecoder(linearEngine(decoder).engine, VAE, SIZE))!;
    expect(factors).toHaveLength(4);
    [...factors, bias].forEach((color, row) => {
      const expected = [...decoder.factors, decoder.bias][row]!;
      color.forEach((value, at) => expect(value).toBeCloseTo(expected[at]!, 6));
    });
  });

  const DECODER: LinearDecoder = { factors: Array.from({ length: 4 }, () => [0.1, 0.05, 0] as const), bias: [0, 0, 0.1] };

  test.each([
    [{ width: 64, height: 64 }, 32],
    [{ width: 96, height: 64 }, 22],
    [{ width: 1024, height: 832 }, 1],
  ])("to images of %o decodes %i of them", async (size, count) => {
    const { engine, shapes } = linearEngine(DECODER);
    await fitLinearDecoder(engine, VAE, size);
    expect(shapes).toEqual(Array.from({ length: count }, () => [1, 4, size.height / 8, size.width / 8]));
  });

  test("is none where the decoder gives values that are not finite", async () => {
    expect(await fitLinearDecoder(linearEngine(DECODER, () => NaN).engine, VAE, SIZE)).toBeUndefined();
  });
});

describe("emoji-xl", () => {
  const engines = newEngines();
  let model: LoadedBundle;
  let fitted: LinearDecoder;

  beforeAll(async () => {
    const bundle = join(temporaryFolder(), "emoji");
    await run("export", { checkpoint: CHECKPOINT, output: bundle }, engines);
    model = await engines.load(bundle, "auto", recordingContext());
    fitted = (await linearDecoder(model, { width: 128, height: 128 }))!;
  });
  afterAll(() => engines.unloadAll());

  test("its decoder is fitted once for a loaded engine, and again after a failure", async () => {
    let runs = 0;
    let fails = true;
    const engine = {
      run: (...asked: Parameters<Engine["run"]>) => {
        runs++;
        return fails ? Promise.reject(new Error("no memory")) : model.engine.run(...asked);
      },
    } as unknown as Engine;
    const spied = { ...model, engine };
    await expect(linearDecoder(spied, SIZE)).rejects.toThrow("no memory");
    fails = false;
    runs = 0;
    const [first, second] = await Promise.all([linearDecoder(spied, SIZE), linearDecoder(spied, SIZE)]);
    expect(await linearDecoder(spied, SIZE)).toBe(first);
    expect(second).toBe(first);
    expect(first!.factors).toHaveLength(4);
    expect(runs).toBe(32);
  });

  /** The means over each place of the latents. */
  function shrink({ width, height, data }: RgbImage, factor: number): number[] {
    const [wide, tall] = [width / factor, height / factor];
    const means = Array.from({ length: wide * tall * 3 }, () => 0);
    data.forEach((level, index) => {
      const [pixel, color] = [Math.floor(index / 3), index % 3];
      const place = Math.floor(pixel / width / factor) * wide + Math.floor((pixel % width) / factor);
      means[place * 3 + color]! += level / factor ** 2;
    });
    return means;
  }

  /** The root of the mean squared difference from a preview's levels, 0 to 255. */
  function differenceOf(preview: RgbImage, wanted: readonly number[]): number {
    return Math.sqrt(preview.data.reduce((sum, level, index) => sum + (level - wanted[index]!) ** 2, 0) / wanted.length);
  }

  test.each(["base", "ddim-trailing", "dpmpp-2m-linspace", "hue", "ink", "negative-strength"])(
    "of %s, the preview's colours are far nearer to the decoded picture's than with SDXL's factors",
    async (name) => {
      const file = await SafetensorsFile.open(join(REFERENCE, `${name}.safetensors`));
      const latents = { dims: file.entry("latents").shape, data: await file.readFloat32("latents") };
      await file.close();
      const vae = model.configuration.vae!;
      const { image } = await model.engine.run("vae_decoder", { latents: decoderInput(latents, vae) });
      const wanted = shrink(imagesFromTensor(image!)[0]!, vae.factor);
      const fixed = publishedDecoder("sdxl", describeCheckpoint("sdxl").configuration)!;
      const [far, near] = [fixed, fitted].map((decoder) => differenceOf(previewImage(latents.data, latents.dims, decoder), wanted));
      expect(far).toBeGreaterThan(130);
      expect(near).toBeLessThan(55);
    },
  );
});
