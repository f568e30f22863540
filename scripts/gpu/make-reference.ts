/*
 * What ONNX Runtime computes, in fp32 on the CPU, for test/gpu/cases.ts: the GPU machine compares with it.
 * usage: make-reference.ts EMOJI_XL_FOLDER OUT.safetensors
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onnxRuntimeBackend } from "../../src/engines/onnxruntime/backend.ts";
import { fromFloat32 } from "../../src/formats/numbers.ts";
import { writeSafetensors, type TensorSource } from "../../src/formats/safetensors-writer.ts";
import { openCheckpoint } from "../../src/models/open-checkpoint.ts";
import { buildBundle, loadBundle, loadDelta } from "../../test/gpu/bundle.ts";
import { caseInputs, STACKS } from "../../test/gpu/cases.ts";

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
      tensors.push({
        name: `${name}/${component}/${output}`,
        dtype: "F32",
        shape: [...dims],
        chunks: function* () {
          yield fromFloat32(data, "F32");
        },
      });
    }
  }
}
await writeSafetensors(out, tensors, {});
await engine.unload();
await rm(work, { recursive: true });
console.log(`${tensors.length} tensors in ${out}`);
