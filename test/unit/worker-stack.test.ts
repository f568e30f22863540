import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { WorkerConnection } from "../../src/extension/worker/connection.ts";
import type { LoadedEngine, StackItem } from "../../src/worker/protocol.ts";
import { CHECKPOINT, HUE, INK, temporaryFolder } from "./jobs-support.ts";

const WORKER = join(import.meta.dirname, "..", "..", "src", "worker", "main.ts");
const folder = temporaryFolder();
const engine = join(folder, "engine");
let connection: WorkerConnection;
let announced: readonly LoadedEngine[] = [];
let count = 0;

beforeAll(async () => {
  connection = await WorkerConnection.start(
    { script: WORKER, restricted: false, environment: process.env },
    {
      onExit: () => {},
      onOutput: () => {},
      onLog: () => {},
      onEngines: ({ loaded }) => (announced = loaded),
    },
  );
  await connection.runJob("export", { checkpoint: CHECKPOINT, output: engine }, () => {});
});

afterAll(() => connection.stop());

const setStack = (stack: readonly StackItem[]) => connection.request("engine/setStack", { path: engine, stack });

async function picture(options: object): Promise<Buffer> {
  const output = join(folder, `${count++}.png`);
  const request = { engine, prompt: "red apple", seed: 1, steps: 1, width: 64, height: 64, output, ...options };
  const { images } = await connection.runJob("generate", request, () => {});
  return readFileSync(images[0]!);
}

test("an engine that is not loaded has no stack to set", async () => {
  await expect(setStack([])).rejects.toMatchObject({ code: "engine.unusable", message: expect.stringContaining(engine) as string });
});

test("an engine for something else is refused with its folder, so that it can be built again", async () => {
  await expect(connection.loadEngine({ path: engine, backend: "tensorrt" }, () => {})).rejects.toMatchObject({
    code: "bundle.mismatch",
    path: engine,
  });
});

test("a stack is applied, with its times, and announced; what is switched off changes nothing", async () => {
  expect(await connection.loadEngine({ path: engine, backend: "auto" }, () => {})).toMatchObject({ path: engine, stack: [] });
  const on = await setStack([
    { file: INK, scale: 0.5 },
    { file: HUE, enabled: false },
  ]);
  expect(on).toMatchObject({ loras: [{ file: INK, scale: 0.5, matched: 192 }], changed: 192, restored: 0, warnings: [] });
  const { read, merge, refit, total } = on.timings;
  expect(total).toBeGreaterThanOrEqual(read + merge + refit);
  expect(merge).toBeGreaterThan(0);
  const items = [
    { file: INK, scale: 0.5, enabled: true },
    { file: HUE, scale: 1, enabled: false },
  ];
  expect(announced).toMatchObject([{ path: engine, stack: items }]);
  const memory = announced[0]!.memoryBytes;

  const off = await setStack(items.map((item) => ({ ...item, enabled: false })));
  expect(off).toMatchObject({ loras: [], changed: 192, restored: 192 });
  expect(announced[0]!.memoryBytes).toBeLessThan(memory);
});

test("a picture's own LoRAs leave the stack as it was set", async () => {
  await setStack([{ file: INK }]);
  await picture({ lora: [{ file: HUE }] });
  expect(announced[0]!.stack).toEqual([{ file: INK, scale: 1, enabled: true }]);
});

test.each([
  ["a missing file", { file: join(folder, "gone.safetensors") }, "file.missing", /gone\.safetensors does not exist/],
  ["a scale that is none", { file: INK, scale: Number.NaN }, "option.invalid", /--stack/],
  ["block weights that are none", { file: INK, blockWeights: "1,2" }, "option.invalid", /block weights/],
] as const)("%s is refused, and the stack stays", async (_what, item, code, message) => {
  await setStack([{ file: HUE, scale: 0.25 }]);
  await expect(setStack([{ file: INK }, item])).rejects.toMatchObject({ code, message: expect.stringMatching(message) as string });
  expect(announced[0]!.stack).toEqual([{ file: HUE, scale: 0.25, enabled: true }]);
});

test("a stack that is set while a picture is made waits for it", async () => {
  const alone = await picture({ lora: [] });
  const during = picture({ lora: [] });
  const set = setStack([{ file: INK }]);
  expect(await during).toEqual(alone);
  expect(await set).toMatchObject({ changed: 192 });
});
