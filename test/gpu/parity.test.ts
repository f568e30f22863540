/* oxlint-disable typescript/no-floating-promises -- The promises of node:test are its runner's to await. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { openStoredDelta } from "../../src/engines/tensorrt/stored-delta.ts";
import { describeBase } from "../../src/jobs/base-description.ts";
import { LoraFile } from "../../src/lora/lora-file.ts";
import { prepareDelta, writeDelta } from "../../src/lora/make-delta.ts";
import { caseInputs, cosine, STACKS } from "./cases.ts";
import { Emoji, EMOJI_FOLDER, WORK } from "./emoji.ts";

let emoji: Emoji;
before(async () => (emoji = await Emoji.load()));
after(() => emoji?.close());

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
    const base = describeBase(emoji.opened);
    const lora = await LoraFile.open(join(EMOJI_FOLDER, "ink.safetensors"));
    const path = join(WORK, "ink.trt_lora");
    await writeDelta(await prepareDelta(lora, base), path);
    await lora.close();
    await emoji.engine.setStack([{ delta: (await openStoredDelta(path, base))!, scale: 1 }]);
    const found = cosine(await emoji.unetOutput(), await emoji.reference.readFloat32("ink/unet/output"));
    console.log(`# ink by the matrix units: cosine ${found.toFixed(6)}`);
    assert.ok(found >= 0.999, `cosine ${found}`);
  });
});
