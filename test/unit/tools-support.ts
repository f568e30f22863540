import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll } from "vitest";
import { toFloat32 } from "../../src/formats/numbers.ts";
import { SafetensorsFile } from "../../src/formats/safetensors.ts";
import { newEngines, run, temporaryFolder } from "./jobs-support.ts";

/** What the tests of one tool share: a folder, the engines in memory, and names in that folder. */
export function toolTests() {
  const folder = temporaryFolder();
  const engines = newEngines();
  let count = 0;
  afterAll(() => engines.unloadAll());
  /** A path that nothing has yet. */
  const fresh = (name: string, extension = ".safetensors"): string => join(folder, `${name}-${count++}${extension}`);
  /** The final latents of a picture that is quickly made. */
  const latents = async (engine: string, lora: readonly object[]): Promise<Float32Array> => {
    const file = fresh("latents");
    await run("generate", { engine, lora, prompt: "a red apple", steps: 2, seed: 5, output: `${file}.png`, saveLatents: file }, engines);
    return toFloat32((await readTensors(file)).get("latents")!.bytes, "F32");
  };
  return { folder, engines, fresh, latents };
}

/** A Python with numpy and safetensors, where there is one: TEST_PYTHON. */
const PYTHON = process.env["TEST_PYTHON"];
export const hasPython = PYTHON !== undefined && existsSync(PYTHON);

/** What a Python script prints, as JSON. */
export function python(script: string, ...args: readonly string[]): unknown {
  return JSON.parse(execFileSync(PYTHON!, ["-c", script, ...args], { encoding: "utf8", maxBuffer: 2 ** 28 }));
}

/** Every tensor's bytes, with its dtype and shape, in the header's order. */
export async function readTensors(path: string): Promise<Map<string, { dtype: string; shape: readonly number[]; bytes: Buffer }>> {
  const file = await SafetensorsFile.open(path);
  try {
    const tensors = new Map<string, { dtype: string; shape: readonly number[]; bytes: Buffer }>();
    for (const { name, dtype, shape } of file.tensors.values()) {
      tensors.set(name, { dtype, shape, bytes: Buffer.from(await file.readBytes(name)) });
    }
    return tensors;
  } finally {
    await file.close();
  }
}

/** The same with each tensor's hash in place of its bytes, which are slow to compare. */
export async function hashTensors(path: string): Promise<Record<string, string>> {
  const hashed = Array.from(await readTensors(path), ([name, { dtype, shape, bytes }]): [string, string] => [
    name,
    `${dtype} ${shape.join()} ${createHash("sha256").update(bytes).digest("hex")}`,
  ]);
  return Object.fromEntries(hashed);
}

export async function readMetadata(path: string): Promise<Record<string, string>> {
  const file = await SafetensorsFile.open(path);
  await file.close();
  return Object.fromEntries(file.metadata);
}
