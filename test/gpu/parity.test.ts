/* oxlint-disable typescript/no-floating-promises -- The promises of node:test are its runner's to await. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { openStoredDelta } from "../../src/engines/tensorrt/stored-delta.ts";
import { changeTensor } from "../../src/formats/delta-writer.ts";
import { writeSafetensors, type TensorSource } from "../../src/formats/safetensors-writer.ts";
import { SafetensorsFile } from "../../src/formats/safetensors.ts";
import { describeBase } from "../../src/jobs/base-description.ts";
import type { StackEntry } from "../../src/lora/delta.ts";
import { LoraFile } from "../../src/lora/lora-file.ts";
import { prepareDelta, writeDelta } from "../../src/lora/make-delta.ts";
import { loadDelta } from "./bundle.ts";
import { caseInputs, cosine, STACKS } from "./cases.ts";
import { Emoji, EMOJI_FOLDER, WORK } from "./emoji.ts";

const INK = "ink.safetensors";
const HUE = "opposite-hue.safetensors";

let emoji: Emoji;
before(async () => (emoji = await Emoji.load()));
after(() => emoji?.close());

/** One of emoji-xl's LoRAs, which are in fp16, with its numbers in a type. */
async function loraOf(name: string, dtype: "F16" | "BF16"): Promise<string> {
  const original = join(EMOJI_FOLDER, name);
  if (dtype === "F16") return original;
  const file = await SafetensorsFile.open(original);
  const tensors: TensorSource[] = [];
  for (const { name: tensor, shape } of file.tensors.values()) {
    tensors.push({ ...changeTensor(await file.readFloat32(tensor), shape, dtype), name: tensor });
  }
  const path = join(WORK, `${dtype}-${name}`);
  await writeSafetensors(path, tensors, Object.fromEntries(file.metadata));
  await file.close();
  return path;
}

/** The share of a file's tensors that are of a type; a scale that is multiplied in makes some of a LoRA's fp32. */
async function shareOf(path: string, dtype: string): Promise<number> {
  const file = await SafetensorsFile.open(path);
  const tensors = Array.from(file.tensors.values());
  await file.close();
  return tensors.filter((tensor) => tensor.dtype === dtype).length / tensors.length;
}

/** The UNet with LoRAs whose factors of a type stay in their deltas' files, against ONNX Runtime's output and the same factors in fp32. */
async function assertMerged(
  reference: string,
  loras: readonly (readonly [name: string, dtype: "F16" | "BF16", scale: number])[],
): Promise<void> {
  const base = describeBase(emoji.opened);
  const stored: StackEntry[] = [];
  const inMemory: StackEntry[] = [];
  for (const [name, dtype, scale] of loras) {
    const file = await loraOf(name, dtype);
    const lora = await LoraFile.open(file);
    const path = join(WORK, `${dtype}-${name}.trt_lora`);
    await writeDelta(await prepareDelta(lora, base), path);
    await lora.close();
    assert.ok((await shareOf(path, dtype)) > 0.8, `${path} keeps factors in ${dtype}`);
    stored.push({ delta: (await openStoredDelta(path, base))!, scale });
    inMemory.push({ delta: await loadDelta(emoji.opened, file), scale });
  }
  await emoji.engine.setStack(inMemory);
  const byFloats = await emoji.unetOutput();
  await emoji.engine.setStack(stored);
  const output = await emoji.unetOutput();
  const found = cosine(output, await emoji.reference.readFloat32(`${reference}/unet/output`));
  const toFloats = cosine(output, byFloats);
  const what = loras.map(([name, dtype]) => `${name} in ${dtype}`).join(", ");
  console.log(`# ${what}, by the matrix units: cosine ${found.toFixed(6)}, to fp32 factors ${toFloats.toFixed(8)}`);
  assert.ok(found >= 0.999, `cosine ${found}`);
  assert.ok(toFloats > 0.99999, `cosine to the same factors in fp32: ${toFloats}`);
}

describe("parity with ONNX Runtime", () => {
  for (const stack of Object.keys(STACKS)) {
    test(`every component with the stack "${stack}"`, async () => {
      await emoji.engine.setStack(emoji.stackOf(stack));
      for (const component of emoji.engine.components) {
        for (const [name, { data }] of Object.entries(await emoji.engine.run(component, caseInputs(component)))) {
          const expected = await emoji.reference.readFloat32(`${stack}/${component}/${name}`);
          const found = cosine(data, expected);
          assert.ok(data.every(Number.isFinite), `${component} ${name} is finite`);
          assert.ok(found >= 0.999, `${component} ${name}: cosine ${found}`);
          console.log(`# ${stack}: ${component} ${name} cosine ${found.toFixed(6)}`);
        }
      }
    });
  }

  test("a LoRA whose factors of fp16 stay in its delta's file, merged by the matrix units", async () => {
    await assertMerged("ink", [[INK, "F16", 1]]);
  });

  test("a LoRA of bf16 factors, merged by the matrix units", async () => {
    await assertMerged("ink", [[INK, "BF16", 1]]);
  });

  test("a stack of a LoRA of bf16 factors and one of fp16 factors, merged by the matrix units", async () => {
    await assertMerged("both", [
      [INK, "BF16", 0.4],
      [HUE, "F16", 0.7],
    ]);
  });
});
