/*
 * What ONNX Runtime computes, in fp32 on the CPU, for test/gpu/cases.ts: the GPU machine compares with it.
 * usage: make-reference.ts EMOJI_XL_FOLDER OUT.safetensors
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onnxRuntimeBackend } from "../../src/engines/onnxruntime/backend.ts";
import { fromFloat32 } from "../../src/formats/numbers.ts";
import type { RgbImage } from "../../src/formats/rgb-image.ts";
import { writeSafetensors, type TensorSource } from "../../src/formats/safetensors-writer.ts";
import { openCheckpoint } from "../../src/models/open-checkpoint.ts";
import { SAMPLERS } from "../../src/pipeline/samplers/sampler.ts";
import { generateImages } from "../../src/pipeline/text-to-image.ts";
import { buildBundle, loadBundle, loadDelta } from "../../test/gpu/bundle.ts";
import { caseInputs, IMAGE_REQUEST, STACKS } from "../../test/gpu/cases.ts";

const [emoji, out] = process.argv.slice(2);
if (!emoji || !out) throw new Error("usage: make-reference.ts EMOJI_XL_FOLDER OUT.safetensors");
const checkpoint = await openCheckpoint(join(emoji, "emoji-xl.safetensors"));
const work = await mkdtemp(join(tmpdir(), "reference-"));
const axis = (size: number) => ({ min: size, opt: size, max: size });
const components = [...checkpoint.components.keys()];
const opened = await buildBundle(onnxRuntimeBackend, checkpoint, join(work, "bundle"), {
  components,
  profile: () => ({ static: false, batch: axis(1), height: axis(128), width: axis(128), context: axis(77) }),
});
const engine = await loadBundle(onnxRuntimeBackend, opened);
const tensors: TensorSource[] = [];
for (const [name, stack] of Object.entries(STACKS)) {
  const entries = await Promise.all(stack.map(async ([file, scale]) => ({ delta: await loadDelta(opened, join(emoji, file)), scale })));
  await engine.setStack(entries);
  for (const component of components) {
    for (const [output, { dims, data }] of Object.entries(await engine.run(component, caseInputs(component)))) {
      tensors.push(toSource(`${name}/${component}/${output}`, dims, data));
    }
  }
}
await engine.setStack([]);
const { architecture, configuration } = opened;
for (const sampler of SAMPLERS) {
  const { images, latents } = await generateImages({ engine, architecture, configuration }, { ...IMAGE_REQUEST, sampler });
  const [{ width, height, data }] = images as [RgbImage];
  tensors.push(toSource(`images/${sampler}/latents`, latents.dims, latents.data));
  tensors.push(toSource(`images/${sampler}/levels`, [height, width, 3], Float32Array.from(data)));
}
await writeSafetensors(out, tensors, {});
await engine.unload();
await rm(work, { recursive: true });
console.log(`${tensors.length} tensors in ${out}`);

function toSource(name: string, dims: readonly number[], data: Float32Array): TensorSource {
  return {
    name,
    dtype: "F32",
    shape: [...dims],
    chunks: function* () {
      yield fromFloat32(data, "F32");
    },
  };
}
