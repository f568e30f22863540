import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openStoredDelta } from "../../src/engines/tensorrt/stored-delta.ts";
import { weightProgram } from "../../src/engines/tensorrt/weight-program.ts";
import { fromFloat32 } from "../../src/formats/numbers.ts";
import { writeSafetensors } from "../../src/formats/safetensors-writer.ts";
import { loadAdapter } from "../../src/lora/load-adapter.ts";
import { LoraFile } from "../../src/lora/lora-file.ts";
import { prepareDelta, writeDelta } from "../../src/lora/make-delta.ts";
import { planStack } from "../../src/lora/stack.ts";
import { openKindModel, openKinds, writeCase } from "../fixtures/lora/kind-cases.ts";
import { FOLDER, openTinyModel, type TinyModel } from "../fixtures/lora/tiny-models.ts";

/** Mutations of each file. */
const RUNS = 60;
/** What one file, of some kilobytes, may take at most. */
const MOST_MILLISECONDS = 4000;
const MOST_BYTES = 300e6;

let folder: string;
let sd1: TinyModel;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "lora-fuzz-"));
  sd1 = await openTinyModel("sd1");
});

afterAll(() => rm(folder, { recursive: true }));

let state = 5;

/** Whole numbers from 0 to below, the same in every run (Park and Miller's generator). */
function random(below: number): number {
  state = (state * 48_271) % 0x7fffffff;
  return Math.floor((state / 0x7fffffff) * below);
}

/** A file with some of its bytes changed, taken out or put in twice, or its end cut off; most often where its header is. */
function mutated(whole: Buffer): Buffer {
  const header = Math.min(whole.length, 8 + Number(whole.readBigUInt64LE(0) & 0xffffffn));
  const place = () => (random(4) > 0 ? random(header) : random(whole.length));
  const kind = random(8);
  if (kind === 0) return whole.subarray(0, random(whole.length));
  const start = place();
  const length = 1 + random(12);
  if (kind === 1) return Buffer.concat([whole.subarray(0, start), whole.subarray(start + length)]);
  if (kind === 2) return Buffer.concat([whole.subarray(0, start + length), whole.subarray(start)]);
  const bytes = Buffer.from(whole);
  for (let change = 0; change <= random(5); change++) bytes[place()] = kind === 3 ? random(256) : 0x20 + random(95);
  return bytes;
}

/** Reads a file as a stack's entry is; what cannot be used must be refused in words, in no time and with no great memory. */
async function isRead(read: () => Promise<unknown>): Promise<boolean> {
  const [started, memory] = [performance.now(), process.memoryUsage().rss];
  let result = true;
  try {
    await read();
  } catch (error) {
    expect((error as Error).name, (error as Error).stack).toBe("UserError");
    result = false;
  }
  expect(performance.now() - started).toBeLessThan(MOST_MILLISECONDS);
  expect(process.memoryUsage().rss - memory).toBeLessThan(MOST_BYTES);
  return result;
}

const readBase = (name: string) => Promise.resolve(sd1.weights.get(name)!);

/** Every file of some trainer or program in the fixtures: kohya's names, diffusers' old and new ones, PEFT's, dotted ones of LDM's. */
const FILES = (await readdir(FOLDER)).filter((name) => /^sd1-.*\.safetensors$/.test(name) && !/base|expected/.test(name));

describe("mutated LoRA files are read or refused", () => {
  it.each(FILES)("%s", { timeout: 120_000 }, async (name) => {
    const whole = await readFile(join(FOLDER, name));
    const path = join(folder, name);
    let read = 0;
    for (let run = 0; run < RUNS; run++) {
      await writeFile(path, mutated(whole));
      if (await isRead(() => loadAdapter(path, sd1.base, readBase))) read++;
    }
    expect(read).toBeLessThan(RUNS);
  });

  it("an adapter's folder, its configuration changed", { timeout: 120_000 }, async () => {
    const from = join(FOLDER, "sd1-folder");
    const to = join(folder, "adapter");
    await mkdir(to);
    for (const name of await readdir(from)) await copyFile(join(from, name), join(to, basename(name)));
    const whole = await readFile(join(from, "adapter_config.json"), "utf8");
    const values = ["null", "-1", "1e999", '"x"', "[]", "{}", "0", '{"a":"b"}', "NaN"];
    let read = 0;
    for (let run = 0; run < 4 * RUNS; run++) {
      const fields = whole.match(/:\s*[^,{}[\]]+(?=[,}])/g)!;
      const field = fields[random(fields.length)]!;
      const changed = run % 2 === 0 ? whole.replace(field, `: ${values[random(values.length)]}`) : whole.slice(0, random(whole.length));
      await writeFile(join(to, "adapter_config.json"), changed);
      if (await isRead(() => loadAdapter(join(to, "adapter_model.safetensors"), sd1.base, readBase))) read++;
    }
    expect(read).toBeGreaterThan(0);
  });
});

describe("mutated deltas are read or refused", () => {
  it("of version 1", { timeout: 120_000 }, async () => {
    const path = join(folder, "version-1.trt_lora");
    const weights = sd1.base.weights.slice(0, 6);
    const sources = weights.map(({ name, shape }) => {
      const bytes = fromFloat32(
        sd1.weights.get(name)!.map((value) => value + 0.01),
        "F16",
      );
      return { name, shape, dtype: "F16", chunks: () => [bytes] };
    });
    await writeSafetensors(path, sources, {});
    const whole = await readFile(path);
    let read = 0;
    for (let run = 0; run < 2 * RUNS; run++) {
      await writeFile(path, mutated(whole));
      if (await isRead(() => loadAdapter(path, sd1.base, readBase))) read++;
    }
    expect(read).toBeGreaterThan(0);
  });

  it("of version 2, as programs for the GPU", { timeout: 120_000 }, async () => {
    const { file, cases } = await openKinds();
    const model = await openKindModel(cases);
    const path = join(folder, "kinds.trt_lora");
    let [read, programs] = [0, 0];
    for (const [name, kindCase] of Array.from(cases).filter(([, { target }]) => target === "3x3" || target === "fused")) {
      const lora = await LoraFile.open(await writeCase(folder, name, kindCase));
      await writeDelta(await prepareDelta(lora, model.base), path);
      await lora.close();
      const whole = await readFile(path);
      for (let run = 0; run < 12; run++) {
        await writeFile(path, mutated(whole));
        const open = async () => {
          const delta = await openStoredDelta(path, model.base);
          for (const { shape, terms } of delta ? planStack([], [{ delta, scale: 0.5 }]).merge : []) {
            expect(weightProgram(shape, terms).code.every(Number.isFinite)).toBe(true);
            programs++;
          }
        };
        if (await isRead(open)) read++;
      }
    }
    await file.close();
    expect(Math.min(read, programs)).toBeGreaterThan(10);
  });
});
