/* oxlint-disable typescript/no-floating-promises -- The promises of node:test are its runner's to await. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { caseInputs, cosine, STACKS } from "./cases.ts";
import { Emoji } from "./emoji.ts";

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
});
