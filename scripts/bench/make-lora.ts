/*
 * Writes a LoRA for benchmarks: random factors for the 722 linear layers of SDXL's UNet, in fp16. Under the names of kohya's trainers, or,
 * where the file's name ends in .trt_lora, as a delta of no engine in particular.
 *
 * usage: node scripts/bench/make-lora.ts OUT.safetensors|OUT.trt_lora [RANK]
 */
import { changeTensor, writeDeltaFile, type ChangeSource } from "../../src/formats/delta-writer.ts";
import { writeSafetensors } from "../../src/formats/safetensors-writer.ts";
import { describeCheckpoint } from "../../src/models/full-size.ts";

const LINEAR = /^model\.diffusion_model\.(.+\.(?:transformer_blocks\..+|proj_in|proj_out))\.weight$/;

const [out, rankText = "32"] = process.argv.slice(2);
if (out === undefined) throw new Error("usage: node scripts/bench/make-lora.ts OUT.safetensors|OUT.trt_lora [RANK]");
const rank = Number(rankText);

/** Small numbers of both signs: the same in every run. */
let state = 1;
function random(): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return (state / 2 ** 32 - 0.5) * 0.1;
}

function tensor(shape: readonly number[], value: () => number) {
  const count = shape.reduce((product, size) => product * size, 1);
  return changeTensor(Float32Array.from({ length: count }, value), shape, "F16");
}

const weights = Array.from(describeCheckpoint("sdxl").components.get("unet")!.values()).filter(
  ({ name, shape }) => LINEAR.test(name) && shape.length === 2,
);
const layers = weights.map(({ name, shape: [rows, columns] }) => ({
  name,
  down: tensor([rank, columns!], random),
  up: tensor([rows!, rank], random),
}));
if (out.endsWith(".trt_lora")) {
  const metadata = { baseEngine: "made up", baseFingerprint: "0", architecture: "sdxl", loraFile: "made up", loraStrength: 1 };
  await writeDeltaFile(
    out,
    metadata,
    layers.map((layer): ChangeSource => ({ kind: "lowRank", ...layer })),
  );
} else {
  const tensors = layers.flatMap(({ name, down, up }) => {
    const module = `lora_unet_${LINEAR.exec(name)![1]!.replaceAll(".", "_")}`;
    return [
      { ...tensor([], () => rank / 2), name: `${module}.alpha` },
      { ...down, name: `${module}.lora_down.weight` },
      { ...up, name: `${module}.lora_up.weight` },
    ];
  });
  await writeSafetensors(out, tensors, {});
}
console.log(`${out}: ${layers.length} layers of rank ${rank}`);
