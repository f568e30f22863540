/*
 * Writes a LoRA for benchmarks: random factors for the 722 linear layers of SDXL's UNet, under the names of kohya's trainers, in fp16.
 *
 * usage: node scripts/bench/make-lora.ts OUT.safetensors [RANK]
 */
import { fromFloat32 } from "../../src/formats/numbers.ts";
import { writeSafetensors, type TensorSource } from "../../src/formats/safetensors-writer.ts";
import { describeCheckpoint } from "../../src/models/full-size.ts";

const LINEAR = /^model\.diffusion_model\.(.+\.(?:transformer_blocks\..+|proj_in|proj_out))\.weight$/;

const [out, rankText = "32"] = process.argv.slice(2);
if (out === undefined) throw new Error("usage: node scripts/bench/make-lora.ts OUT.safetensors [RANK]");
const rank = Number(rankText);

/** Small numbers of both signs: the same in every run. */
let state = 1;
function random(): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return (state / 2 ** 32 - 0.5) * 0.1;
}

function tensor(name: string, shape: readonly number[], value: () => number): TensorSource {
  const count = shape.reduce((product, size) => product * size, 1);
  return { name, dtype: "F16", shape, chunks: () => [fromFloat32(Float32Array.from({ length: count }, value), "F16")] };
}

const tensors: TensorSource[] = [];
for (const { name, shape } of describeCheckpoint("sdxl").components.get("unet")!.values()) {
  const path = LINEAR.exec(name)?.[1];
  const [rows, columns] = shape;
  if (path === undefined || rows === undefined || columns === undefined) continue;
  const module = `lora_unet_${path.replaceAll(".", "_")}`;
  tensors.push(tensor(`${module}.alpha`, [], () => rank / 2));
  tensors.push(tensor(`${module}.lora_down.weight`, [rank, columns], random));
  tensors.push(tensor(`${module}.lora_up.weight`, [rows, rank], random));
}
await writeSafetensors(out, tensors, {});
console.log(`${out}: ${tensors.length / 3} layers of rank ${rank}`);
